"""Layers whose plain formulation is slow: max-pooling with a stored argmax, convolutions by device and shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, UInt8

from butterflyer_jax.models import few_channels, winograd

# Tensor cores take the channels of 16-bit convolutions by eight.
CHANNEL_MULTIPLE = 8


def max_pool(
    x: Float[jax.Array, "batch height width channels"], window: tuple[int, int] = (2, 2)
) -> Float[jax.Array, "batch _ _ channels"]:
    """Returns the maximum of each window, without overlap; rows and columns that fill no window are dropped.

    Equal to `flax.linen.max_pool(x, window, strides=window)` in value and in gradient, the first of equal corners
    taking the gradient. Windows of 2x2 on even sides use a formulation that keeps one byte per window for the gradient,
    which is several times faster than XLA's select-and-scatter on CPU and GPU; all others fall back to Flax.

    Args:
      x: float [batch, height, width, channels].
      window: height and width, pixels.

    Returns:
      float [batch, height // window[0], width // window[1], channels].
    """
    if window != (2, 2) or x.shape[1] % 2 or x.shape[2] % 2:
        result: jax.Array = nn.max_pool(x, window, strides=window)
        return result
    return _max_pool_even(x)


def conv_padding_channels(
    lhs: Float[jax.Array, "batch height width channels"],
    rhs: Float[jax.Array, "_ _ channels features"],
    *args: Any,
    **kwargs: Any,
) -> Float[jax.Array, "batch _ _ features"]:
    """Computes `jax.lax.conv_general_dilated` with input channels padded by zeros where that is faster.

    For `flax.linen.Conv(conv_general_dilated=...)`: parameters keep their shape. Three channels of 16 bits do not reach
    an accelerator's matrix units, eight do; float32 is left alone.

    Args:
      lhs: float [batch, height, width, channels].
      rhs: kernel, float [height, width, channels, features].
      *args, **kwargs: further arguments of `jax.lax.conv_general_dilated`.
    """
    missing = -lhs.shape[-1] % CHANNEL_MULTIPLE
    if missing and lhs.dtype.itemsize == 2:
        lhs = jnp.pad(lhs, [(0, 0)] * 3 + [(0, missing)])
        rhs = jnp.pad(rhs, [(0, 0)] * 2 + [(0, missing), (0, 0)])
    return jax.lax.conv_general_dilated(lhs, rhs, *args, **kwargs)


def conv_on_cpu(
    lhs: Float[jax.Array, "batch height width channels"],
    rhs: Float[jax.Array, "_ _ channels features"],
    *args: Any,
    **kwargs: Any,
) -> Float[jax.Array, "batch _ _ features"]:
    """Convolves with the formulation that is fastest on a CPU for these shapes, for 3x3 kernels, stride 1, "SAME".

    For `flax.linen.Conv(conv_general_dilated=...)`, as `conv_padding_channels`. The result differs from XLA's by
    rounding, less than 1e-5 of the largest value.

    Args:
      lhs: float [batch, height, width, channels].
      rhs: kernel, float [3, 3, channels, features].
      *args, **kwargs: further arguments of `jax.lax.conv_general_dilated`, for shapes that are left to it.
    """
    if winograd.is_faster(lhs.shape, rhs.shape[-1], lhs.dtype):
        return winograd.conv(lhs, rhs)
    if few_channels.is_faster(lhs.shape, rhs.shape[-1], lhs.dtype):
        return few_channels.conv(lhs, rhs)
    return conv_padding_channels(lhs, rhs, *args, **kwargs)


def materialise(
    function: Callable[..., jax.Array], known: Float[jax.Array, " channels"], *arrays: jax.Array
) -> jax.Array:
    """Returns `function(*arrays)`, written to memory once; for operands of convolutions on a CPU.

    The gradient of XLA's convolution by its kernel reads its operands transposed. XLA would compute them there once
    more, at places far apart, rather than transpose what it has: 67 instead of 54 ms for three layers. It does not look
    into a conditional; so this is one, on whether a value is a number.

    Args:
      function: elementwise or nearly, of `arrays`.
      known: a value per channel; if the first is not a number, nor is the result.
      *arrays: arguments of `function`.
    """
    # Of more channels Winograd's gradients are taken, which transpose nothing.
    if known.size > winograd.MIN_CHANNELS:
        return function(*arrays)
    shape: jax.ShapeDtypeStruct = jax.eval_shape(function, *arrays)
    result: jax.Array = jax.lax.cond(
        jnp.isnan(known[0]), lambda *_: jnp.full(shape.shape, jnp.nan, shape.dtype), function, *arrays
    )
    return result


@jax.custom_vjp
def _max_pool_even(x: jax.Array) -> jax.Array:
    return max_and_argmax(x)[0]


def max_and_argmax(
    x: Float[jax.Array, "batch height width channels"],
) -> tuple[Float[jax.Array, "batch _ _ channels"], UInt8[jax.Array, "batch _ _ channels"]]:
    """Returns the maximum of each 2x2 window, and the row-major number of the first corner that holds it."""
    b, h, w, c = x.shape
    corners = x.reshape(b, h // 2, 2, w // 2, 2, c)
    top_left, top_right = corners[:, :, 0, :, 0], corners[:, :, 0, :, 1]
    bottom_left, bottom_right = corners[:, :, 1, :, 0], corners[:, :, 1, :, 1]
    maxima = jnp.maximum(jnp.maximum(top_left, top_right), jnp.maximum(bottom_left, bottom_right))
    argmax = jnp.where(
        top_left == maxima,
        0,
        jnp.where(top_right == maxima, 1, jnp.where(bottom_left == maxima, 2, 3)),
    ).astype(jnp.uint8)
    return maxima, argmax


def spread(
    argmax: UInt8[jax.Array, "batch height width channels"], gradient: Float[jax.Array, "batch height width channels"]
) -> Float[jax.Array, "batch _ _ channels"]:
    """Returns [batch, 2 * height, 2 * width, channels]: each gradient in its corner of the window, else zeros."""
    b, h, w, c = gradient.shape
    # One broadcast comparison, not four stacked corners: concatenating them is a pass over memory of its own.
    corner = jnp.arange(4, dtype=jnp.uint8).reshape(1, 1, 2, 1, 2, 1)
    taken = argmax[:, :, None, :, None, :] == corner
    return jnp.where(taken, gradient[:, :, None, :, None, :], 0).reshape(b, 2 * h, 2 * w, c)


_max_pool_even.defvjp(max_and_argmax, lambda argmax, gradient: (spread(argmax, gradient),))
