"""Which devices a run takes, and how arrays lie on them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from butterflyer_jax.config import UserError

DATA_AXIS = "data"


def make_mesh(num_devices: int | None = None) -> Mesh:
    """Returns a mesh of one axis, `data`, over the first `num_devices` local devices, by default over all.

    Raises:
      UserError: there are not so many.
    """
    devices = jax.local_devices()
    if num_devices is not None:
        if not 1 <= num_devices <= len(devices):
            kind = devices[0].platform
            raise UserError(f"--gpu {num_devices}: this machine has {len(devices)} device(s) of kind {kind}")
        devices = devices[:num_devices]
    # Explicit axes, the default since JAX 0.9, refuse dropout and scatter.
    return jax.make_mesh((len(devices),), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose first axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises a UserError where the devices cannot take equal parts of a batch."""
    if batch_size % mesh.size:
        raise UserError(f"config field batch_size = {batch_size} must be a multiple of the {mesh.size} devices")


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Moves a batch from the host to the devices, each taking its part of the first axis."""
    sharding = by_batch(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}


def prefetch(batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh, size: int = 2) -> Iterator[dict[str, jax.Array]]:
    """Yields batches on the devices, `size` of them on their way while the step before runs."""
    ahead: collections.deque[dict[str, jax.Array]] = collections.deque()
    iterator = iter(batches)
    while True:
        ahead.extend(put_batch(batch, mesh) for batch in itertools.islice(iterator, size - len(ahead)))
        if not ahead:
            return
        yield ahead.popleft()


def compute_dtype(precision: str, mesh: Mesh) -> jnp.dtype:
    """Returns the dtype of the computation for config field `precision`."""
    if precision == "auto":
        precision = "float32" if on_cpu(mesh) else "bfloat16"
    return jnp.dtype(precision)


def on_cpu(mesh: Mesh) -> bool:
    """Tells whether the mesh's devices are CPUs."""
    return mesh.devices.flat[0].platform == "cpu"
