from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.models.layers import max_pool


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
