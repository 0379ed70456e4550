"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) in training, with the ReLU and max-pool after it.

These take as long as the convolutions on a CPU, and half as long on a GPU: each formula is a pass over memory. Here

  the pool comes first: the maximum of a window (with a negative scale the minimum) is the same pixel before
    normalisation and after, so a quarter of the pixels is normalised, and the gradient's sums are over that quarter;
  the gradient is the formula of the paper's section 3, in one pass.

On a CPU, where XLA's sums over all pixels run at a number per cycle, also

  sums over pixels are of eight rows at a time, two arrays in one pass: XLA unrolls eight additions and vectorises over
    the channels; more it does not unroll, and the sums of one array alone it merges into one long sum again;
  the gradient is computed once (see `layers.materialise`).

Processor milliseconds forward and with gradients, of Flax's `BatchNorm`, `relu` and `layers.max_pool` and of this
(one core of Zen 5, jax 0.10.2, batch 32): 96x96x16 43 and 8, 48x48x32 14 and 3, 24x24x64 9 and 1.2, 12x12x128 6 and
0.8. On an H100 a step of VGG16 (256 images of 224 pixels, bfloat16, jax 0.11.2) takes 57.8 instead of 62.0 ms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Float32

from butterflyer_jax.models.layers import materialise, max_and_argmax, max_pool, spread

EPSILON = 1e-5
# Rows that are added at a time.
ROWS = 8


class BatchNormRelu(nn.Module):
    """`flax.linen.BatchNorm` in training, then ReLU, then perhaps a 2x2 max-pool.

    Variables have the names and shapes of `flax.linen.BatchNorm`. Values and gradients are the same to rounding;
    statistics are float32.

    Attributes:
      momentum: share of the running statistics that a step keeps.
      pool: whether the max-pool follows.
      for_cpu: take the sums that are fastest on one CPU; float32 alone.
    """

    momentum: float
    pool: bool
    for_cpu: bool

    @nn.compact
    def __call__(self, x: Float[jax.Array, "batch height width channels"]) -> Float[jax.Array, "batch _ _ channels"]:
        """Normalises by the statistics of the batch, and updates the running ones."""
        channels = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        var = self.variable("batch_stats", "var", jnp.ones, channels)
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        even = x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0
        y, *statistics = _normalise(x, scale, bias, self.pool and even, self.for_cpu)
        if self.pool and not even:
            y = max_pool(y)
        if not self.is_initializing():
            for running, value in zip((mean, var), statistics, strict=True):
                # The gradient of `_normalise` is that of y alone.
                new = jax.lax.stop_gradient(value)
                running.value = self.momentum * running.value + (1 - self.momentum) * new
        return y


def channel_sums(
    function: Callable[..., tuple[jax.Array, jax.Array]], *arrays: Float32[jax.Array, "*pixels channels"]
) -> tuple[Float32[jax.Array, " channels"], Float32[jax.Array, " channels"]]:
    """Returns the sums over all pixels of the two arrays that an elementwise function makes of others.

    Args:
      function: maps arrays [rows, pixels, channels] to two of the same shape.
      *arrays: all of one shape.
    """
    channels = arrays[0].shape[-1]
    count = arrays[0].size // channels

    def in_rows(array: jax.Array, rows: int) -> jax.Array:
        return array.reshape(rows, -1, channels)

    # In rows before the function, not after it: else XLA computes places in one shape from those in the other.
    rows = rows_of(count)
    sums = function(*(in_rows(array, rows) for array in arrays))
    while True:
        sums = jax.lax.reduce(sums, (0.0, 0.0), lambda a, b: (a[0] + b[0], a[1] + b[1]), (0,))
        count //= rows
        if count == 1:
            return sums[0].reshape(channels), sums[1].reshape(channels)
        rows = rows_of(count)
        sums = in_rows(sums[0], rows), in_rows(sums[1], rows)


def rows_of(count: int) -> int:
    """Returns the largest divisor up to `ROWS`, all where there is none."""
    return next((rows for rows in range(min(ROWS, count), 1, -1) if count % rows == 0), count)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalise(
    x: jax.Array, scale: jax.Array, bias: jax.Array, pool: bool, for_cpu: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the activations, and the mean and variance of each channel, whose gradients are left out."""
    outputs: tuple[jax.Array, jax.Array, jax.Array] = _forward(x, scale, bias, pool, for_cpu)[0]
    return outputs


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, pool: bool, for_cpu: bool) -> tuple[Any, Any]:
    count = x.size // x.shape[-1]
    total, squares = _sums(lambda x: (x, x * x), for_cpu, x)
    mean = total / count
    var = jnp.maximum(squares / count - mean * mean, 0)
    deviation = jax.lax.rsqrt(var + EPSILON)
    kept, argmax = x, None
    if pool:
        sign = jnp.where(scale < 0, -1, 1).astype(x.dtype)
        kept, argmax = max_and_argmax(sign * x)
        kept = sign * kept

    def activations(kept: jax.Array) -> jax.Array:
        return nn.relu((kept - mean) * (deviation * scale) + bias).astype(x.dtype)

    y = materialise(activations, mean, kept) if for_cpu else activations(kept)
    if pool and not for_cpu:
        # Else XLA finds the corners again in the backward pass, which reads all of x once more: 57.5
        # instead of 56.5 ms a step of VGG16 on an H100.
        y, kept, argmax = jax.lax.optimization_barrier((y, kept, argmax))
    return (y, mean, var), (x, kept, argmax, mean, deviation, scale, bias)


def _backward(pool: bool, for_cpu: bool, saved: Any, gradients: tuple[jax.Array, jax.Array, jax.Array]) -> Any:
    x, kept, argmax, mean, deviation, scale, bias = saved
    count = x.size // x.shape[-1]

    def by_normalised(gradient: jax.Array, kept: jax.Array) -> jax.Array:
        """Returns the gradient below the ReLU, float32."""
        return jnp.where((kept - mean) * (deviation * scale) + bias > 0, gradient.astype(jnp.float32), 0)

    def terms(gradient: jax.Array, kept: jax.Array) -> tuple[jax.Array, jax.Array]:
        below = by_normalised(gradient, kept)
        return below, below * (kept - mean)

    by_bias, products = _sums(terms, for_cpu, gradients[0], kept)

    def by_input(gradient: jax.Array, kept: jax.Array) -> jax.Array:
        below = by_normalised(gradient, kept)
        if pool:
            below = spread(argmax, below)
        centred = below - by_bias / count - (x - mean) * (deviation**2 * products / count)
        result: jax.Array = (deviation * scale * centred).astype(x.dtype)
        return result

    by_x = materialise(by_input, mean, gradients[0], kept) if for_cpu else by_input(gradients[0], kept)
    return by_x, deviation * products, by_bias


def _sums(
    function: Callable[..., tuple[jax.Array, jax.Array]], for_cpu: bool, *arrays: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns what `channel_sums` does, on a GPU of arrays in float32."""
    if for_cpu:
        return channel_sums(function, *arrays)
    first, second = function(*(array.astype(jnp.float32) for array in arrays))
    return first.sum(axis=(0, 1, 2)), second.sum(axis=(0, 1, 2))


_normalise.defvjp(_forward, _backward)
