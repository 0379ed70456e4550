"""Options of XLA's compiler for the programs of this library."""

from __future__ import annotations

import functools

import jax

# XLA's CPU backend runs convolutions by a library that uses one thread (YNNPACK), or else by Eigen, which uses all:
# only matrix products are left to the library. The option is experimental: see `options`.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}

# LLVM then skips what costs most of its time; vectors and their rounding stay, which level 0 gives up.
RUN_ONCE = {"xla_backend_optimization_level": 1}

# Programs that several threads run at once use no further ones: 8% less processor time.
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}


def options_of_one_thread() -> dict[str, bool] | None:
    """Returns the options for `jax.jit(..., compiler_options=...)` of a program that uses one thread on CPUs."""
    return ONE_THREAD if jax.default_backend() == "cpu" else None


def options_to_run_once() -> dict[str, int] | None:
    """Returns the options for `jax.jit(..., compiler_options=...)` of a program that runs once, None for the defaults.

    On CPUs the initial state of VGG11 compiles in 1.6 instead of 4.8 s of processor time, to the same bits.
    """
    return RUN_ONCE if jax.default_backend() == "cpu" else None


@functools.cache
def options() -> dict[str, str] | None:
    """Returns the options for `jax.jit(..., compiler_options=...)` on this process's devices, None for the defaults.

    These are `CPU_OPTIONS` on CPUs, if the installed jaxlib has them; else none.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        # An older or newer jaxlib has no such option, or no such value.
        return None
    return CPU_OPTIONS
