"""Convolution, bias, ReLU and max-pool as one layer: Flax's layers one after another give the same."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.models.bias_relu import ConvRelu, bias_relu

FEATURES = 6


class Plain(nn.Module):
    """What `ConvRelu` replaces."""

    pool: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(FEATURES, (3, 3), kernel_init=nn.initializers.he_normal(), name="conv")(x))
        return nn.max_pool(x, (2, 2), strides=(2, 2)) if self.pool else x


class Ours(nn.Module):
    pool: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        result: jax.Array = ConvRelu(FEATURES, self.pool, name="conv")(x)
        return result


# Even sides, and an odd one, where the last row fills no window.
@pytest.mark.parametrize("shape", [(4, 8, 12, 3), (3, 5, 6, 2)])
@pytest.mark.parametrize("pool", [False, True])
def test_it_equals_the_layers_one_after_another(shape: tuple[int, ...], pool: bool) -> None:
    x = jax.random.normal(jax.random.key(0), shape)
    # A blank image: of equal corners one takes the gradient.
    x = x.at[0].set(0.5)
    plain, ours = Plain(pool), Ours(pool)
    variables = plain.init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, variables, ours.init(jax.random.key(1), x))
    variables["params"]["conv"]["bias"] = jax.random.normal(jax.random.key(2), (FEATURES,))

    def everything(model: nn.Module) -> Any:
        def weighted(variables: Any, x: jax.Array) -> Any:
            y: Any = model.apply(variables, x)
            return (y * jax.random.normal(jax.random.key(9), y.shape)).sum(), y

        return jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(variables, x)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), everything(ours), everything(plain)
    )


def test_gradients_of_many_pixels_are_those_of_float64() -> None:
    x = jax.random.normal(jax.random.key(0), (8, 64, 64, 16))
    gradient = 1 + jax.random.normal(jax.random.key(1), x.shape)
    bias = jnp.linspace(-1, 1, 16)
    by_bias = jax.jit(lambda bias: jax.vjp(lambda bias: bias_relu(x, bias, False), bias)[1](gradient)[0])(bias)
    exact = np.where(np.asarray(x) + np.asarray(bias) > 0, np.float64(gradient), 0).sum((0, 1, 2))
    assert np.abs(by_bias - exact).max() < 1e-5 * np.abs(exact).max()
