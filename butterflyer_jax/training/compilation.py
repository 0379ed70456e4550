"""Ahead-of-time compilation of the train step, with its memory use and a check that it fits."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import psutil
from jax.sharding import Mesh

from butterflyer_jax.config import Config
from butterflyer_jax.errors import UserError
from butterflyer_jax.training.step import TrainStep

MIB, GIB = 1 << 20, 1 << 30
# Share of the device's memory limit: its allocator needs some slack, and evaluation is another program.
USABLE_SHARE = 0.92
# Batches on the device beside the current one; see `sharding.prefetch`.
BATCHES_AHEAD = 2
# In the text of a compiled program: `%x = (f32[64]{0}, f32[3,3]{1,0}) all-reduce(`.
EXCHANGE = re.compile(r"= (\S.*?) (all-reduce|all-gather|reduce-scatter|all-to-all)(?:-start)?\(")
SHAPE = re.compile(r"\b[a-z]+(\d+)\[([\d,]*)\]")


@dataclass(frozen=True)
class Memory:
    """Memory that a step takes on one device, bytes.

    Attributes:
      arguments: size of the state and the batches.
      temporary: size of activations, gradients and everything else that lives during a step.
      limit: memory of the device that a step may take.
    """

    arguments: int
    temporary: int
    limit: int

    @property
    def needed(self) -> int:
        """Sum of arguments and temporary memory."""
        return self.arguments + self.temporary

    def __str__(self) -> str:
        return (
            f"{size_text(self.needed)} of {size_text(self.limit)} (state and batches {size_text(self.arguments)}, "
            f"activations and gradients {size_text(self.temporary)})"
        )


def size_text(num_bytes: int) -> str:
    """Returns a size as text, such as 12.3 GiB or 45 MiB."""
    return f"{num_bytes / GIB:,.1f} GiB" if num_bytes >= GIB else f"{num_bytes / MIB:,.0f} MiB"


@dataclass(frozen=True)
class CompiledStep:
    """A train step that is ready to run.

    Attributes:
      call: `(state, batch) -> (state, metrics)`, for the compiled shapes and shardings only.
      program: compiled program that it calls.
      memory: memory that the step takes on each device.
      seconds: duration of the compilation.
    """

    call: TrainStep
    program: jax.stages.Compiled
    memory: Memory
    seconds: float

    def exchanged_bytes(self) -> dict[str, int]:
        """Returns the bytes that each device receives from a step's collectives, by kind such as all-reduce.

        A collective in a loop, as with gradient accumulation, counts once.
        """
        found: dict[str, int] = {}
        for shapes, kind in EXCHANGE.findall(self.program.as_text() or ""):
            size = sum(
                math.prod(int(side) for side in sides.split(",") if side) * int(bits) // 8
                for bits, sides in SHAPE.findall(shapes)
            )
            found[kind] = found.get(kind, 0) + size
        return found


def compile_step(train_step: TrainStep, state: Any, batch: Any, mesh: Mesh) -> CompiledStep:
    """Compiles a jitted step for arguments of these shapes, dtypes and shardings.

    Raises:
      JaxRuntimeError: the step is too large for the compiler; see `memory_reported`.
    """
    start = time.perf_counter()
    program = train_step.lower(state, batch).compile()
    seconds = time.perf_counter() - start
    return CompiledStep(train_step.with_program(program), program, _memory(program, batch, mesh), seconds)


def _memory(program: jax.stages.Compiled, batch: Any, mesh: Mesh) -> Memory:
    stats: Any = program.memory_analysis()
    ahead = BATCHES_AHEAD * sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(batch)) // mesh.size
    # Outputs that reuse no donated argument: the metrics.
    results = stats.output_size_in_bytes - stats.alias_size_in_bytes
    arguments = stats.argument_size_in_bytes + results + ahead
    return Memory(arguments, stats.temp_size_in_bytes, memory_limit(mesh))


def memory_limit(mesh: Mesh) -> int:
    """Returns the memory of one device that a step may take, bytes."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    # CPU devices share the memory of the machine.
    whole = stats.get("bytes_limit") or psutil.virtual_memory().available // len(mesh.local_devices)
    return int(USABLE_SHARE * whole)


def check_fits(memory: Memory, config: Config) -> None:
    """Raises a UserError if a step needs more memory than the device has; the message names what to change."""
    if memory.needed > memory.limit:
        raise UserError(f"a train step does not fit: it needs {memory} per device. {_advice(config)}")


def _advice(config: Config) -> str:
    ways = [f"lower batch_size = {config.batch_size}", f"raise gradient_accumulation = {config.gradient_accumulation}"]
    if config.model.remat == "none":
        ways.append("set model.remat=blocks")
    if not config.parallel.fsdp:
        ways.append("set parallel.fsdp=true on several devices")
    return f"{', '.join(ways[:-1]).capitalize()}, or {ways[-1]}"


@contextlib.contextmanager
def memory_reported(config: Config) -> Iterator[None]:
    """Context that raises a device's "out of memory" error as a UserError of one line.

    Args:
      config: config of the run, from which the error advises what to change.

    Raises:
      UserError: the device's memory does not suffice.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"the device's memory does not suffice: {reason}. {_advice(config)}") from error
