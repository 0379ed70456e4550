"""Batches on a CPU in parts: the same results, at the same time."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from butterflyer_jax import cores
from butterflyer_jax.distributed import batch_parts, compiler

TWO_PARTS = 2 * batch_parts.MIN_IMAGES


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 2)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("batch_size", [1, 3, TWO_PARTS, TWO_PARTS + 1])
def test_results_are_those_of_the_whole_in_order(batch_size: int) -> None:
    def function(weights: jax.Array, images: jax.Array, labels: jax.Array) -> dict[str, jax.Array | None]:
        x = jax.lax.conv_general_dilated(images, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return {"maps": x, "labels": labels + 1, "none": None}

    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.standard_normal((3, 3, 3, 8), np.float32))
    images, labels = rng.standard_normal((batch_size, 8, 8, 3), np.float32), np.arange(batch_size)
    whole = function(weights, jnp.asarray(images), jnp.asarray(labels))
    for_cpu = batch_parts.in_parts(function, for_cpu=True)
    # The first batch of a shape is computed part after part, others at the same time.
    for _ in range(2):
        found = for_cpu(weights, images, labels)
        np.testing.assert_allclose(found["maps"], whole["maps"], atol=1e-5)
        np.testing.assert_array_equal(found["labels"], labels + 1)
        assert found["none"] is None


@pytest.mark.usefixtures("two_cores")
def test_parts_are_computed_at_the_same_time() -> None:
    both, waits = threading.Barrier(2), False

    def meet(x: np.ndarray) -> np.ndarray:
        if waits:
            both.wait(timeout=60)
        return x

    def function(_: None, x: jax.Array) -> jax.Array:
        return jax.pure_callback(meet, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    call, x = batch_parts.in_parts(function, for_cpu=True), np.arange(TWO_PARTS, dtype=np.float32)
    call(None, x)
    waits = True
    np.testing.assert_array_equal(call(None, x), x)


def test_an_accelerator_takes_the_batch_whole() -> None:
    shapes = []

    def function(_: None, x: jax.Array) -> jax.Array:
        shapes.append(x.shape)
        return x

    batch_parts.in_parts(function, for_cpu=False)(None, np.zeros(64, np.float32))
    assert shapes == [(64,)]


@given(batch_size=st.integers(1, 300), num_cores=st.integers(1, 70))
def test_parts_are_equal_and_neither_more_than_cores_nor_too_small(batch_size: int, num_cores: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "usable", lambda: num_cores)
        count = batch_parts.num_parts(batch_size)
    assert batch_size % count == 0
    assert count == 1 or (count <= num_cores and batch_size // count >= batch_parts.MIN_IMAGES)


def test_a_batch_of_32_is_shared_between_two_cores_and_between_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for num_cores, expected in ((1, 1), (2, 2), (4, 4), (6, 4), (24, 8)):
        monkeypatch.setattr(cores, "usable", lambda number=num_cores: number)
        assert batch_parts.num_parts(32) == expected


def test_a_program_of_one_thread_takes_the_library_of_one_thread() -> None:
    assert compiler.options_of_one_thread() == compiler.ONE_THREAD
    jax.jit(lambda x: x + 1, compiler_options=compiler.options_of_one_thread())(1)
