"""The logits of every photograph of a split, and the sums over them, in one pass."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from butterflyer_jax import augment, losses, sharding
from butterflyer_jax.config import Config
from butterflyer_jax.metrics import Sums
from butterflyer_jax.step import Variables


@dataclass(frozen=True)
class Scored:
    """What the network made of a split.

    Attributes:
      labels: int32 [count], of the photographs, in the order of the split.
      logits: float32 [count, species].
      metrics: of `metrics.Sums.compute`.
    """

    labels: np.ndarray
    logits: np.ndarray
    metrics: dict[str, Any]


def score(model: Any, variables: Variables, data: Any, split: str, config: Config, mesh: Mesh) -> Scored:
    """Scores each photograph of a split once.

    Args:
      model, variables: as `runs.load_model` returns them.
      data: an open data set, as `data.source.open_data` returns it.
      split: train, val or test.
      config: of the run.
      mesh: that the variables live on.
    """

    def answer(variables: Variables, batch: dict[str, jax.Array]) -> tuple[Sums, jax.Array]:
        logits = model.apply(variables.collections(), augment.eval_images(batch, config), train=False)
        return Sums.of_batch(
            losses.cross_entropy(logits, batch["label"]), logits, batch["label"], batch["mask"]
        ), logits

    jitted = jax.jit(answer, out_shardings=sharding.replicated(mesh))
    total, logits, labels = None, [], []
    with contextlib.closing(data.eval_batches(split)) as batches:
        for batch in sharding.prefetch(batches, mesh):
            sums, of_batch = jitted(variables, batch)
            total = sums if total is None else total + sums
            counts = np.asarray(batch["mask"]) > 0
            logits.append(np.asarray(of_batch)[counts])
            labels.append(np.asarray(batch["label"])[counts])
    if total is None:
        raise ValueError("nothing to score")
    return Scored(np.concatenate(labels), np.concatenate(logits), total.compute())
