"""Batch normalisation with ReLU and max-pool in few passes: Flax's layers one after another give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.models.batch_norm import BatchNormRelu, channel_sums

MOMENTUM = 0.9


class Plain(nn.Module):
    """What `BatchNormRelu` replaces."""

    pool: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = nn.BatchNorm(use_running_average=False, momentum=MOMENTUM, dtype=x.dtype, name="norm")
        x = nn.relu(norm(x))
        return nn.max_pool(x, (2, 2), strides=(2, 2)) if self.pool else x


class Ours(nn.Module):
    pool: bool
    for_cpu: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        result: jax.Array = BatchNormRelu(MOMENTUM, self.pool, self.for_cpu, name="norm")(x)
        return result


def everything(model: nn.Module, variables: dict[str, Any], x: jax.Array) -> Any:
    """Returns the output, the new statistics, and the gradients by parameters and input, of a sum weighted by noise."""

    def weighted(params: Any, x: jax.Array) -> Any:
        y, updates = model.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        return (y * jax.random.normal(jax.random.key(9), y.shape)).sum(), (y, updates)

    (_, found), gradients = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))(variables["params"], x)
    return found, gradients


# 37 is a prime above the eight rows that are added at a time.
@pytest.mark.parametrize("shape", [(8, 8, 12, 16), (37, 2, 5, 3)])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("for_cpu", [False, True])
def test_it_equals_the_layers_one_after_another(shape: tuple[int, ...], pool: bool, for_cpu: bool) -> None:
    # A mean far from zero, where a variance by squares alone would be lost, and scales of both signs.
    x = 3 + jax.random.normal(jax.random.key(0), shape)
    # A blank image: of equal corners one takes the gradient.
    x = x.at[0].set(3.5)
    plain, ours = Plain(pool), Ours(pool, for_cpu)
    variables = plain.init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, variables, ours.init(jax.random.key(1), x))
    scale, bias = jax.random.normal(jax.random.key(2), (2, shape[-1]))
    assert (scale < 0).any() and (scale > 0).any()
    variables["params"]["norm"] = {"scale": scale, "bias": bias}
    expected, found = everything(plain, variables, x), everything(ours, variables, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("pool", [False, True])
def test_sixteen_bits_have_statistics_of_float32(dtype: jnp.dtype, pool: bool) -> None:
    x = (3 + jax.random.normal(jax.random.key(0), (8, 8, 12, 16))).astype(dtype)
    variables = Ours(pool, for_cpu=False).init(jax.random.key(1), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    (y, updates), gradients = everything(Ours(pool, for_cpu=False), variables, x)
    assert y.dtype == gradients[1].dtype == dtype
    exact = np.float64(x).reshape(-1, 16)
    found = updates["batch_stats"]["norm"]
    np.testing.assert_allclose(found["mean"], (1 - MOMENTUM) * exact.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["var"], MOMENTUM + (1 - MOMENTUM) * exact.var(0), rtol=1e-5)
    (plain, _), of_plain = everything(Plain(pool), variables, x)
    np.testing.assert_array_equal(np.float32(y), np.float32(plain))
    for our, their in zip(jax.tree.leaves(gradients), jax.tree.leaves(of_plain), strict=True):
        scale = float(jnp.abs(their).max())
        np.testing.assert_allclose(np.float32(our) / scale, np.float32(their) / scale, atol=2e-2)


@pytest.mark.parametrize("shape", [(8, 3), (5, 7, 11, 4), (1, 1, 1, 2)])
def test_sums_over_pixels(shape: tuple[int, ...]) -> None:
    both: Callable[..., Any] = lambda x: (x, x * x)  # noqa: E731
    x = jax.random.normal(jax.random.key(0), shape)
    exact = np.float64(x).reshape(-1, shape[-1])
    for found, expected in zip(channel_sums(both, x), (exact.sum(0), (exact**2).sum(0)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
