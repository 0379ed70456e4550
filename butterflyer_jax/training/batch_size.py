"""Search for the largest batch that fits into the devices' memory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from butterflyer_jax import runs
from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.training import compilation, state
from butterflyer_jax.training.compilation import MIB, size_text
from butterflyer_jax.training.setup import make_setup

# The search stops at a batch size that needs at least this share of the memory.
GOOD_SHARE = 0.85
# The number of images per device and part is a multiple of this, for the matrix units.
PHOTOS_MULTIPLE = 8
# Least number of steps in an epoch.
MIN_STEPS_PER_EPOCH = 10


def unit(config: Config, mesh: Mesh) -> int:
    """Returns the number of images that the batch size has to be a multiple of."""
    return mesh.size * config.gradient_accumulation * PHOTOS_MULTIPLE


def settle(
    config: Config, output: str | os.PathLike[str] | None, open_data: Callable[[Config], Data], mesh: Mesh
) -> int:
    """Returns the batch size of a run whose config leaves it open: that of the run in `output`, else one that fits.

    Args:
      config: config of the run, with a batch_size of 0.
      output: run folder; None for no run.
      open_data: opens the data set for a config with a batch size.
      mesh: devices of the run.

    Raises:
      UserError: no batch size fits.
    """
    saved = output and runs.saved_batch_size(output)
    if saved:
        return saved
    with contextlib.closing(open_data(config.replace(batch_size=unit(config, mesh)))) as data:
        size = find(config, len(data.species), data.num_photos("train"), data.photo_spec(), mesh)
    say(f"batch_size: {size}, found for {mesh.size} device(s)")
    return size


def find(
    config: Config, num_classes: int, num_photos: int, photo: Mapping[str, tuple[tuple[int, ...], Any]], mesh: Mesh
) -> int:
    """Returns the batch size that nearly fills the devices, at most a tenth of the training images.

    Args:
      config: config of the run; its batch_size is ignored.
      num_classes: number of species.
      num_photos: number of images in the training split.
      photo: (shape, dtype) of each array of one image, by name.
      mesh: devices of the run.

    Raises:
      UserError: no batch size fits.
    """

    def needed(batch_size: int) -> int:
        sized = dataclasses.replace(config, batch_size=batch_size)
        setup = make_setup(sized, num_classes, MIN_STEPS_PER_EPOCH, mesh)
        batch = state.abstract_batch(photo, batch_size, mesh)
        with compilation.memory_reported(sized):
            return compilation.compile_step(setup.train_step, setup.abstract_state, batch, mesh).memory.needed

    # All processes must find the same size, and hosts may differ a little: in MiB, as JAX sends 32-bit integers.
    limit = int(multihost_utils.broadcast_one_to_all(np.int32(compilation.memory_limit(mesh) // MIB))) * MIB
    return largest(needed, limit, unit(config, mesh), num_photos // MIN_STEPS_PER_EPOCH)


def largest(needed: Callable[[int], int], limit: int, unit: int, most: int) -> int:
    """Returns a batch size that fits and nearly fills the memory.

    Args:
      needed: returns the memory that a step takes on a device, bytes, for a batch size; each call compiles the step.
      limit: available memory of a device, bytes.
      unit: number that the batch size has to be a multiple of.
      most: largest batch size wanted.

    Raises:
      UserError: `unit` images do not fit, or are more than `most`.
    """
    if unit > most:
        raise UserError(
            f"batch_size=0: the smallest batch for these devices is {unit}, and the largest allowed one {most}"
        )
    fits, bytes_at_fits = unit, needed(unit)
    if bytes_at_fits > limit:
        raise UserError(
            f"batch_size=0: not even {unit} photos fit: {size_text(bytes_at_fits)} per device are needed, "
            f"{size_text(limit)} are there. Set model.remat=blocks or parallel.fsdp=true, or a smaller network"
        )
    too_large = most // unit * unit + unit
    size = min(4 * unit, too_large - unit)
    while size > fits and bytes_at_fits < GOOD_SHARE * limit:
        bytes_at_size = needed(size)
        slope = (bytes_at_size - bytes_at_fits) / (size - fits)
        if bytes_at_size > limit:
            too_large = size
        else:
            fits, bytes_at_fits = size, bytes_at_size
        # Memory grows almost linearly with the batch size: aim at the middle of the accepted range.
        aim = fits + (0.5 * (1 + GOOD_SHARE) * limit - bytes_at_fits) / max(slope, 1.0)
        if aim >= too_large and too_large <= most:
            aim = (fits + too_large) / 2
        size = min(int(aim) // unit * unit, too_large - unit)
    return fits
