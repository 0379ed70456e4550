from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from butterflyer_jax.models.layers import conv_padding_channels, max_pool


def reference(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (2, 2), strides=(2, 2))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("shape", [(2, 8, 6, 5), (1, 2, 2, 1), (2, 7, 6, 3), (2, 5, 5, 2)])
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_values_and_gradients_equal_flax(shape: tuple[int, ...], dtype: jnp.dtype, ties: bool) -> None:
    rng = np.random.default_rng(0)
    # Few distinct values make ties in most windows, as ReLU's zeros do.
    values = rng.integers(-1, 2, shape) if ties else rng.permutation(np.prod(shape)).reshape(shape)
    x = jnp.asarray(values, dtype)
    weights = jnp.asarray(rng.normal(size=reference(x).shape), dtype)

    def loss(pool, x):  # noqa: ANN001, ANN202
        return (pool(x) * weights).astype(jnp.float32).sum()

    np.testing.assert_array_equal(max_pool(x), reference(x))
    ours, theirs = jax.grad(loss, argnums=1)(max_pool, x), jax.grad(loss, argnums=1)(reference, x)
    np.testing.assert_array_equal(ours.astype(jnp.float32), theirs.astype(jnp.float32))
    assert ours.dtype == dtype


@pytest.mark.parametrize("window", [(3, 3), (2, 1), (1, 2)])
def test_other_windows_are_those_of_flax(window: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 8, 6, 3))
    np.testing.assert_array_equal(max_pool(x, window), nn.max_pool(x, window, strides=window))


def test_the_gradient_of_max_pool_is_its_slope() -> None:
    # Values a half apart: a step of the numerical slope moves no maximum.
    x = 0.5 * jax.random.permutation(jax.random.key(0), 2 * 4 * 6 * 3).reshape(2, 4, 6, 3).astype(jnp.float32)
    check_grads(max_pool, (x,), order=1, modes=["rev"], eps=1e-2)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_padded_channels_change_nothing(dtype: jnp.dtype) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 9, 8, 3), dtype)
    plain = nn.Conv(16, (3, 3), dtype=dtype)
    padded = nn.Conv(16, (3, 3), dtype=dtype, conv_general_dilated=conv_padding_channels)
    variables = padded.init(jax.random.key(1), x)
    assert variables["params"]["kernel"].shape == (3, 3, 3, 16)

    def loss(variables, x, layer):  # noqa: ANN001, ANN202
        return jnp.square(layer.apply(variables, x).astype(jnp.float32)).sum()

    ours = jax.value_and_grad(loss, argnums=(0, 1))(variables, x, padded)
    theirs = jax.value_and_grad(loss, argnums=(0, 1))(variables, x, plain)
    tolerance = 1e-5 if dtype == jnp.float32 else 2e-2
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert our.shape == their.shape
        np.testing.assert_allclose(our.astype(jnp.float32), their.astype(jnp.float32), rtol=tolerance, atol=tolerance)


def test_sixteen_bits_of_three_channels_reach_the_convolution_as_eight() -> None:
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        numbers = jax.lax.conv_dimension_numbers(x.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))
        return conv_padding_channels(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    for dtype, channels in ((jnp.bfloat16, 8), (jnp.float32, 3)):
        text = str(jax.make_jaxpr(convolve)(jnp.zeros((1, 4, 4, 3), dtype), jnp.zeros((3, 3, 3, 2), dtype)))
        assert f"[3,3,{channels},2]" in text
