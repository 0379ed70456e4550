"""The jitted evaluation step: logits of every photo of a split and their metric sums, in one pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float32, Int32

from butterflyer_jax.config import Config
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import compiler, sharding
from butterflyer_jax.metrics import losses
from butterflyer_jax.metrics.sums import Sums
from butterflyer_jax.models.features import apply_with_features
from butterflyer_jax.models.variables import Batch, Variables
from butterflyer_jax.preprocessing import images
from butterflyer_jax.runs import LoadedModel

EvalStep: TypeAlias = Callable[["Variables", Batch], Sums]


@dataclass(frozen=True)
class Scored:
    """The network's answers to a split.

    Attributes:
      labels: int32 [count], labels in the order of the split.
      logits: float32 [count, species].
      metrics: result of `metrics.sums.Sums.compute`.
      features: float32 [count, num_features], see `models.features`; None if not requested.
    """

    labels: Int32[np.ndarray, " count"]
    logits: Float32[np.ndarray, "count num_species"]
    metrics: dict[str, Any]
    features: Float32[np.ndarray, "count num_features"] | None = None


def score(loaded: LoadedModel, data: Data, split: str, with_features: bool = False) -> Scored:
    """Scores each photo of a split once.

    Args:
      loaded: model of a run.
      data: open data set of the same species.
      split: split to score: train, val or test.
      with_features: whether the features of the photos are wanted too.

    Raises:
      ValueError: the split is empty.
    """
    mesh = loaded.mesh
    answer = _make_answer(loaded.model, loaded.config, mesh, with_features)
    total = None
    logits, labels, features = [], [], []
    with contextlib.closing(data.eval_batches(split)) as batches:
        for batch in sharding.prefetch(batches, mesh):
            sums, of_batch, features_of_batch = answer(loaded.variables, batch)
            total = sums if total is None else total + sums
            counts = np.asarray(batch["mask"]) > 0
            logits.append(np.asarray(of_batch)[counts])
            labels.append(np.asarray(batch["label"])[counts])
            if features_of_batch is not None:
                features.append(np.asarray(features_of_batch)[counts])
    if total is None:
        raise ValueError("nothing to score")
    found = np.concatenate(features) if features else None
    return Scored(np.concatenate(labels), np.concatenate(logits), total.compute(), found)


def evaluate_batches(
    eval_step: EvalStep, variables: Variables, batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh
) -> Sums:
    """Returns the sums over masked, padded batches; `Sums.compute` divides them once at the end.

    Raises:
      ValueError: there is no batch.
    """
    total = None
    for batch in sharding.prefetch(batches, mesh):
        sums = eval_step(variables, batch)
        total = sums if total is None else total + sums
        if sharding.on_cpu(mesh):
            # Queued steps deadlock virtual CPU devices, and hold memory on a real one.
            jax.block_until_ready(total)
    if total is None:
        raise ValueError("nothing to evaluate")
    return total


def make_eval_step(model: Any, config: Config, mesh: Mesh) -> EvalStep:
    """Returns the function `(variables, batch) -> sums` over the photos whose mask is 1.

    The batch holds image uint8 [batch_size, height, width, 3], label int32 [batch_size], mask float32 [batch_size] and,
    where the device crops, window int32 [batch_size, 4] (see `preprocessing.images.scaled_images`).
    """
    # On a CPU features cost little, and the program is the one that `score` takes after the training: it is compiled
    # once, and then read from the cache.
    answer = _make_answer(model, config, mesh, config.refusal.typicality and model.for_cpu)

    def eval_step(variables: Variables, batch: Batch) -> Sums:
        return answer(variables, batch)[0]

    return eval_step


def _make_answer(
    model: Any, config: Config, mesh: Mesh, with_features: bool
) -> Callable[[Variables, Batch], tuple[Sums, jax.Array, jax.Array | None]]:
    """Returns the jitted function (variables, batch) -> (sums, logits, features or None)."""

    def answer(variables: Variables, batch: Batch) -> tuple[Sums, jax.Array, jax.Array | None]:
        x = images.eval_images(batch, config)
        if with_features:
            logits, features = apply_with_features(model, variables, x, config.model.batch_norm)
        else:
            logits, features = model.apply(variables.collections(), x, train=False), None
        loss = losses.cross_entropy(logits, batch["label"])
        return Sums.of_batch(loss, logits, batch["label"], batch["mask"]), logits, features

    return jax.jit(answer, out_shardings=sharding.replicated(mesh), compiler_options=compiler.options())
