"""Convolutions of few channels: values and gradients are those of XLA's convolution, and the rule on shapes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.models import few_channels
from tests.models.test_winograd import plain, value_and_gradients


def test_it_equals_the_convolution_and_its_gradients() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((2, 5, 12, 3), (3, 3, 3, 7), (2, 5, 12, 7))
    arrays = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    found, expected = (value_and_gradients(convolve, *arrays) for convolve in (few_channels.conv, plain))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "features", "dtype", "taken"),
    [
        ((32, 96, 96, 3), 16, jnp.float32, True),
        ((1, 96, 96, 3), 32, jnp.float32, True),
        ((32, 96, 96, 3), 64, jnp.float32, False),
        ((32, 96, 96, 16), 16, jnp.float32, False),
        ((32, 96, 90, 3), 16, jnp.float32, False),
        ((32, 96, 96, 3), 16, jnp.bfloat16, False),
    ],
    ids=["first layer", "one image", "many features", "many channels", "90 pixels", "16 bits"],
)
def test_the_rule(shape: tuple[int, ...], features: int, dtype: jnp.dtype, taken: bool) -> None:
    assert few_channels.is_faster(shape, features, dtype) is taken
