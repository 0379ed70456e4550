"""The device mesh of a run, and the shardings of its arrays.

A mesh has two axes. A batch is split over both. Parameters and the optimizer's state are replicated, unless
`parallel.fsdp` splits them over `data`, or `parallel.model_devices` splits the big dense kernels over `model`.
"""

from __future__ import annotations

import collections
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped

from butterflyer_jax.config import Config, ParallelConfig
from butterflyer_jax.errors import UserError

DATA_AXIS = "data"
MODEL_AXIS = "model"
BATCH_AXES = (DATA_AXIS, MODEL_AXIS)

# The dense layers hold nine tenths of VGG16's parameters. The first is split by its outputs, the second by its inputs,
# so that nothing is exchanged between them (Krizhevsky 2014, arXiv:1404.5997; Shoeybi et al. 2019, arXiv:1909.08053).
MODEL_RULES = (
    (r"(^|/)fc1/kernel$", PartitionSpec(None, MODEL_AXIS)),
    (r"(^|/)fc1/bias$", PartitionSpec(MODEL_AXIS)),
    (r"(^|/)fc2/kernel$", PartitionSpec(MODEL_AXIS, None)),
)
# Number of elements below which arrays stay replicated under fsdp: gathering them would cost more than it saves.
MIN_FSDP_SIZE = 1 << 14
# The flag of XLA that divides a CPU into several devices.
VIRTUAL_DEVICES = "xla_force_host_platform_device_count"


def require_accelerators(num_devices: int) -> None:
    """Raises a UserError if `--gpu` asks for accelerators and JAX sees none: training would silently use the CPU.

    CPUs count where XLA divides them into virtual devices.
    """
    if jax.devices()[0].platform == "cpu" and VIRTUAL_DEVICES not in os.environ.get("XLA_FLAGS", ""):
        raise UserError(
            f"--gpu {num_devices}: JAX sees no GPU or TPU here; install butterflyer-jax[gpu] or [tpu] and the driver, "
            "or leave --gpu out to train on the CPU"
        )


def make_mesh(num_devices: int | None = None, model_devices: int = 1) -> Mesh:
    """Returns a mesh of the axes `data` and `model` over the devices of all processes.

    Args:
      num_devices: number of devices of each process to use, None for all.
      model_devices: length of the axis `model`; neighbours in a process where that is possible.

    Raises:
      UserError: there are fewer devices, or they cannot be divided as asked.
    """
    devices = jax.devices()
    if num_devices is not None:
        count = jax.local_device_count()
        if not 1 <= num_devices <= count:
            raise UserError(f"--gpu {num_devices}: this machine has {count} device(s) of kind {devices[0].platform}")
        taken: dict[int, list[jax.Device]] = collections.defaultdict(list)
        for device in devices:
            taken[device.process_index].append(device)
        devices = [device for of_process in taken.values() for device in of_process[:num_devices]]
    if len(devices) % model_devices:
        raise UserError(
            f"config field parallel.model_devices = {model_devices} must divide the number of devices, {len(devices)}"
        )
    # Explicit axes, the default since JAX 0.9, refuse dropout and scatter.
    return jax.make_mesh(
        (len(devices) // model_devices, model_devices),
        (DATA_AXIS, MODEL_AXIS),
        axis_types=(AxisType.Auto, AxisType.Auto),
        devices=devices,
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that is replicated on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose first axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def by_part(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose second axis is split over the devices: parts of a batch come first."""
    return NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))


def of_tree(tree: Any, mesh: Mesh, config: ParallelConfig) -> Any:
    """Returns the sharding of each array of a state, by the path of its parameter, which the optimizer's states share.

    Args:
      tree: arrays or their shapes; a parameter, its momentum and its average end in the same path, as `fc1/kernel`.
      mesh: devices of the run.
      config: parallel config: which arrays are split.

    Raises:
      UserError: an array cannot be split as `config` says.
    """

    def of_array(path: Any, x: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return NamedSharding(mesh, _spec(name, x.shape, mesh, config))

    return jax.tree.map_with_path(of_array, tree)


def _spec(name: str, shape: tuple[int, ...], mesh: Mesh, config: ParallelConfig) -> PartitionSpec:
    axes: list[str | None] = [None] * len(shape)
    if mesh.shape[MODEL_AXIS] > 1:
        for pattern, spec in MODEL_RULES:
            if re.search(pattern, name):
                axes = list(spec)
    for size, axis in zip(shape, axes, strict=True):
        if axis and size % mesh.shape[axis]:
            raise UserError(
                f"config field parallel.model_devices = {mesh.shape[axis]} must divide {size}, a side of {name}"
            )
    if config.fsdp and np.prod(shape, dtype=np.int64) >= MIN_FSDP_SIZE:
        data = mesh.shape[DATA_AXIS]
        free = [i for i, axis in enumerate(axes) if axis is None and shape[i] % data == 0]
        if free:
            axes[max(free, key=lambda i: shape[i])] = DATA_AXIS
    return PartitionSpec(*axes)


def abstract(tree: Any, mesh: Mesh, config: ParallelConfig) -> Any:
    """Returns shapes and dtypes with the shardings of `of_tree`."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        tree,
        of_tree(tree, mesh, config),
    )


def check(config: Config, mesh: Mesh) -> None:
    """Raises a UserError if a batch, or its parts, cannot be split evenly over the devices."""
    parts = mesh.size * config.gradient_accumulation
    if config.batch_size % parts:
        accumulated = f" times the {config.gradient_accumulation} parts" if config.gradient_accumulation > 1 else ""
        raise UserError(
            f"config field batch_size = {config.batch_size} must be a multiple of the {mesh.size} devices{accumulated}"
        )
    if config.gradient_accumulation > 1 and config.augment.mixes and config.batch_size // parts % 2:
        raise UserError(
            f"config field batch_size = {config.batch_size}: for augment.mixup or cutmix each of "
            f"gradient_accumulation = {config.gradient_accumulation} parts must be even on each of {mesh.size} devices"
        )
    if config.parallel.model_devices > 1 and config.model.head != "fc":
        raise UserError("config field parallel.model_devices splits the dense layers: it needs model.head = fc")


def put_batch(
    batch: Mapping[str, Shaped[np.ndarray, "share ..."]], mesh: Mesh
) -> dict[str, Shaped[jax.Array, "batch ..."]]:
    """Moves this process's part of a batch to its devices, split along the first axis."""
    sharding = by_batch(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}


def prefetch(batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh, size: int = 2) -> Iterator[dict[str, jax.Array]]:
    """Yields batches on the devices, with `size` of them in transfer while the previous step runs."""
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
    """Returns whether the mesh's devices are CPUs."""
    return bool(mesh.devices.flat[0].platform == "cpu")


def on_one_cpu(mesh: Mesh) -> bool:
    """Returns whether the mesh is one CPU device; several would exchange the larger gradients of Winograd's kernels."""
    return on_cpu(mesh) and mesh.size == 1
