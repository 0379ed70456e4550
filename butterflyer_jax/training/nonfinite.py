"""Handling of steps whose loss or gradient is not finite: the batch is kept, so that the step can be replayed."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jaxtyping import Key

from butterflyer_jax.config import Config
from butterflyer_jax.errors import UserError
from butterflyer_jax.models import variables as variables_lib
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.runs import CHECKPOINTS
from butterflyer_jax.storage import files

FOLDER = "broken"
ABOUT_FILE, BATCH_FILE = "about.json", "batch.npz"


class BrokenStep(UserError):
    """The loss or the gradient of a step is not finite."""

    def __init__(self, step_number: int, metrics: Mapping[str, float]) -> None:
        """Describes the step by its number, from 1, and its metrics."""
        self.step = step_number
        self.name = next(name for name in ("loss", "gradient_norm") if not math.isfinite(metrics[name]))
        self.value = metrics[self.name]
        super().__init__(
            f"the {self.name.replace('_', ' ')} is {self.value} at step {step_number}: lower optim.learning_rate, "
            "lengthen optim.warmup_epochs, or set optim.gradient_clip_norm, with the same --output: "
            "the run resumes from the checkpoint before that step"
        )


@contextlib.contextmanager
def keeping(
    run_folder: epath.Path | None, recent: Iterable[tuple[int, Mapping[str, jax.Array]]], steps_per_epoch: int
) -> Iterator[None]:
    """Writes the batch of a non-finite step into the run folder, and names its place in the error.

    Args:
      run_folder: run folder; None keeps nothing.
      recent: numbers and batches of the last steps.
      steps_per_epoch: number of batches per epoch.

    Raises:
      UserError: a `BrokenStep` was raised; the message adds where its batch is.
    """
    try:
        yield
    except BrokenStep as error:
        batch = dict(recent).get(error.step)
        if run_folder is None or batch is None:
            raise
        folder = run_folder / FOLDER / f"step_{error.step}"
        if jax.process_index() == 0:
            _keep(folder, error, batch, steps_per_epoch)
        raise UserError(
            f"{error}. Its batch is in {folder}; the same command with --replay repeats that step"
        ) from error


def _keep(folder: epath.Path, error: BrokenStep, batch: Mapping[str, jax.Array], steps_per_epoch: int) -> None:
    # On many hosts only this host's part: the indices of the images suffice to rebuild the rest.
    arrays = {name: np.concatenate([part.data for part in _parts(x)]) for name, x in batch.items()}
    epoch, number = divmod(error.step - 1, steps_per_epoch)
    about = {"step": error.step, "epoch": epoch, "batch": number, error.name: repr(error.value)}
    about |= {name: arrays[name].tolist() for name in ("index", "label") if name in arrays}
    with files.writing(folder / BATCH_FILE) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    files.write_text(folder / ABOUT_FILE, json.dumps(about))


def _parts(x: jax.Array) -> list[Any]:
    return sorted(x.addressable_shards, key=lambda part: part.index[0].start or 0)


def broke_after_last_checkpoint(run_folder: epath.Path) -> bool:
    """Returns whether a run ended with a non-finite step, later than its last checkpoint."""
    kept = steps_kept(run_folder)
    saved = run_folder / CHECKPOINTS
    steps = [int(path.name) for path in saved.iterdir() if path.name.isdigit()] if saved.exists() else []
    return bool(kept) and kept[-1] > max(steps, default=0)


def steps_kept(run_folder: epath.Path) -> list[int]:
    """Returns the numbers of the non-finite steps kept in a run folder, in rising order."""
    folder = run_folder / FOLDER
    found = [path.name.partition("_")[2] for path in folder.iterdir()] if folder.exists() else []
    return sorted(int(number) for number in found if number.isdigit())


def first_broken(
    apply_fn: Callable[..., Any],
    variables: variables_lib.Variables,
    batch: Mapping[str, jax.Array],
    keys: Key[jax.Array, " batch"],
    config: Config,
) -> str | None:
    """Returns the first place, in the order of computation, where a forward pass is not finite, or None.

    Args:
      apply_fn: `apply` of the Flax model.
      variables: variables before the step.
      batch: batch of the step, on the device.
      keys: PRNG keys [batch] of the augmentation.
      config: config of the run.
    """
    for name, parameter in jax.tree.leaves_with_path(variables.params):
        if not np.isfinite(np.asarray(parameter)).all():
            return f"parameter {jax.tree_util.keystr(name, simple=True, separator='/')}"
    images, _ = images_lib.train_images(batch, keys, config)
    if not bool(jnp.isfinite(images).all()):
        return "the augmented images"
    # Dropout only scales values; without it no keys are needed.
    logits, state = apply_fn(
        variables.collections(), images, train=False, capture_intermediates=True, mutable=["intermediates"]
    )
    for name, layer in state["intermediates"].items():
        if name != "__call__" and not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(layer)):
            return f"layer {name}"
    return None if bool(jnp.isfinite(logits).all()) else "the logits"
