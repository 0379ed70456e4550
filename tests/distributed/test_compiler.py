"""Compiler options: on CPUs, and only where the installed jaxlib knows them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.distributed import compiler


def test_convolutions_on_a_cpu_are_left_to_the_library_that_has_threads() -> None:
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    shapes = jnp.zeros((8, 16, 16, 32)), jnp.zeros((3, 3, 32, 32))
    assert compiler.options() == compiler.CPU_OPTIONS
    compiled = jax.jit(convolve, compiler_options=compiler.options()).lower(*shapes).compile()
    assert "ynn_fusion" not in compiled.as_text()


@pytest.mark.parametrize("unknown", [{"xla_cpu_no_such_option": "1"}, dict.fromkeys(compiler.CPU_OPTIONS, "NO_SUCH")])
def test_what_this_jaxlib_does_not_know_is_left_out(unknown: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "CPU_OPTIONS", unknown)
    assert compiler.options.__wrapped__() is None


def test_accelerators_have_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiler.options.__wrapped__() is None
    assert compiler.options_to_run_once() is None


def test_a_program_that_runs_once_gives_the_same_bits() -> None:
    def draw() -> jax.Array:
        return jax.nn.initializers.he_normal()(jax.random.key(0), (3, 3, 8, 24))

    once = jax.jit(draw, compiler_options=compiler.options_to_run_once())
    np.testing.assert_array_equal(once(), jax.jit(draw)())
