"""A batch on a CPU in parts: each core takes a part of the batch through the whole network.

XLA shares a program between cores operation by operation: at each of them the cores wait for each other, and what it
does not share leaves all but one of them idle. Parts of a batch wait for nothing. And their convolutions are those of
XLA's library of one thread, which need less processor time than Eigen's, the ones that use all cores (see `compiler`).

Milliseconds of a batch of `configs/cpu.py` with refusal, two cores of Zen 3, jax 0.10.2, in turn, wall and processor:

    images    whole          in two parts
        4     10.6   17.1    10.0   18.3
        8     19.8   31.6    15.4   28.1
       16     34.1   57.8    26.5   49.2
       32     67.5  115.5    50.8   94.7
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from butterflyer_jax import cores
from butterflyer_jax.distributed import compiler

# Of fewer images a part takes as long as the whole: XLA shares these well, and Winograd's products get too small.
MIN_IMAGES = 4


def in_parts(function: Callable[..., Any], for_cpu: bool) -> Callable[..., Any]:
    """Returns `function`, compiled, which computes large batches in parts on the cores of a CPU.

    Args:
      function: maps variables and arrays [batch, ...] to a tree of arrays [batch, ...], each image by itself.
      for_cpu: whether it runs on one CPU device; else it is one program.

    Returns:
      A function of the same arguments, the arrays NumPy's, which returns the same tree of NumPy arrays.
    """
    whole = jax.jit(function, compiler_options=compiler.options())
    part = jax.jit(function, compiler_options=compiler.options_of_one_thread())
    compiled_shapes: set[tuple[int, ...]] = set()

    def call(variables: Any, *arrays: np.ndarray) -> Any:
        count = num_parts(len(arrays[0])) if for_cpu else 1
        if count == 1:
            program = part if for_cpu and cores.usable() == 1 else whole
            return _to_numpy(program(variables, *arrays))
        parts = list(zip(*(np.split(array, count) for array in arrays), strict=True))
        compute = functools.partial(_compute, part, variables)
        shape = parts[0][0].shape
        # The first time one after the other: several threads would all compile the program.
        results = list((_pool().map if shape in compiled_shapes else map)(compute, parts))
        compiled_shapes.add(shape)
        return jax.tree.map(lambda *of_parts: np.concatenate(of_parts), *results)

    return call


def num_parts(batch_size: int) -> int:
    """Returns the number of equal parts of a batch: one for each core, or fewer if they are many for the batch."""
    most = max(1, min(cores.usable(), batch_size // MIN_IMAGES))
    return next(count for count in range(most, 0, -1) if batch_size % count == 0)


def _compute(part: Callable[..., Any], variables: Any, arrays: tuple[np.ndarray, ...]) -> Any:
    return _to_numpy(part(variables, *arrays))


def _to_numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores.usable(), "butterflyer-parts")
