"""Options of XLA's compiler for the programs of this library."""

from __future__ import annotations

import functools

import jax

# XLA's CPU backend runs convolutions by a library that uses one thread (YNNPACK), or else by Eigen, which uses all:
# only matrix products are left to the library. The option is experimental: see `options`.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


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
