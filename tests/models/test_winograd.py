"""Winograd convolutions: values and gradients against float64, the rule on shapes, and where the network takes them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.config import ModelConfig
from butterflyer_jax.models import create_model, winograd
from tests.helpers.random_variables import random_variables

# Float32 sums of 9 * 128 products alone differ from float64 by 1e-6 of the largest value.
LARGEST_ERROR = 1e-5


def value_and_gradients(convolve, x, kernel, gradient):  # noqa: ANN001, ANN201
    value, pull = jax.vjp(convolve, x, kernel)
    return value, *pull(gradient)


def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def reference(x: np.ndarray, kernel: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The textbook's sums in float64: the output, and the gradients by input and kernel."""
    height, width = x.shape[1:3]
    rim = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded, padded_gradient = np.pad(np.float64(x), rim), np.pad(np.float64(gradient), rim)
    kernel = np.float64(kernel)
    value, by_x, by_kernel = 0.0, 0.0, np.zeros(kernel.shape)
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + height, j : j + width]
            value = value + window @ kernel[i, j]
            by_x = by_x + padded_gradient[:, 2 - i : 2 - i + height, 2 - j : 2 - j + width] @ kernel[i, j].T
            by_kernel[i, j] = np.einsum("bhwc,bhwk->ck", window, gradient, optimize=True)
    return value, by_x, by_kernel


@pytest.mark.parametrize(
    ("shape", "features"), [((2, 16, 16, 64), 64), ((4, 8, 12, 64), 96), ((8, 4, 4, 128), 128), ((3, 6, 7, 3), 5)]
)
def test_it_equals_the_convolution_and_its_gradients(shape: tuple[int, ...], features: int) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], features))
    gradient = jax.random.normal(keys[2], (*shape[:-1], features))
    found = jax.jit(lambda *arrays: value_and_gradients(winograd.conv, *arrays))(x, kernel, gradient)
    for ours, exact in zip(found, reference(*map(np.asarray, (x, kernel, gradient))), strict=True):
        assert ours.dtype == jnp.float32
        assert np.abs(ours - exact).max() < LARGEST_ERROR * np.abs(exact).max()


@pytest.mark.parametrize(
    ("shape", "features", "dtype", "taken"),
    [
        ((8, 16, 16, 64), 64, jnp.float32, True),
        ((8, 16, 16, 64), 128, jnp.float32, True),
        ((8, 16, 16, 32), 64, jnp.float32, False),
        ((8, 16, 16, 64), 32, jnp.float32, False),
        ((8, 14, 16, 64), 64, jnp.float32, True),
        ((8, 6, 6, 64), 64, jnp.float32, True),
        ((16, 5, 5, 64), 64, jnp.float32, False),
        ((1, 16, 16, 64), 64, jnp.float32, False),
        ((8, 16, 16, 64), 64, jnp.bfloat16, False),
    ],
    ids=["64", "wider", "few channels", "few features", "14 pixels", "6 pixels", "5 pixels", "few tiles", "16 bits"],
)
def test_the_rule(shape: tuple[int, ...], features: int, dtype: jnp.dtype, taken: bool) -> None:
    assert winograd.is_faster(shape, features, dtype) is taken


def test_a_network_takes_it_only_where_it_is_asked_for() -> None:
    config = ModelConfig(variant="vgg11", batch_norm=True, width_multiplier=0.25, head="gap", dropout=0.0)
    images = jax.random.normal(jax.random.key(0), (8, 64, 64, 3))
    plain_model, model = create_model(config, 5), create_model(config, 5, for_cpu=True)
    variables = random_variables(plain_model, images)
    assert jax.tree.structure(variables) == jax.tree.structure(random_variables(model, images))
    ours, theirs = (jax.jit(lambda v, m=m: m.apply(v, images, train=False))(variables) for m in (model, plain_model))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)

    def convolutions(model: object) -> int:
        return str(jax.make_jaxpr(lambda v: model.apply(v, images, train=False))(variables)).count("conv_general")

    assert convolutions(plain_model) == 8
    # Those of 64 channels at 16 pixels and 128 at 8: four have fewer channels, those at 4 pixels too few tiles.
    assert convolutions(model) < 8
