"""3x3 convolutions as Winograd's F(4x4, 3x3), for CPUs (Lavin & Gray 2015, arXiv:1509.09308).

A tile of 4x4 outputs takes 36 multiplications per pair of channels, where the sum over the window takes 144:

    Y = A^T [ (G g G^T) * (B^T d B) ] A        d: 6x6 of the input, g: 3x3 kernel, Y: 4x4 of the output

With many channels the products in the middle are 36 matrix products, at which CPUs are fastest; the transforms of
images are sums along one axis and then the other, which XLA fuses into one pass each (as matrix products with the
Kronecker products of the matrices they take twice the time). The gradient by the images is the same convolution with
the kernel rotated by 180 degrees; the gradient by the kernel is

    dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G

Processor milliseconds of the output, the images' gradient and the kernel's (one core of Zen 5, jax 0.10.2), and the
largest error of all three against float64, as a share of the largest value (8 images of noise):

    images, side, channels    YNNPACK         Eigen           here            error, XLA and here
    32 x 16, 64 -> 64         2.6  2.8  6.6   3.1  3.1  3.8   1.4  1.4  2.4   8e-7  2e-6
    32 x  8, 128 -> 128       2.6  2.7  3.6   2.6  2.7  2.9   1.2  1.3  1.4   9e-7  2e-6
    32 x  4, 128 -> 128       0.7  0.7  0.9   0.7  0.7  0.7   0.3  0.4  0.4   6e-7  2e-6
    16 x  8, 512 -> 512                                                       8e-7  4e-6

With 32 channels it gains by itself (32 x 32: 2.4 instead of 4.2 ms forward, 5.2 instead of 5.7 for the kernel), but a
step of `configs/cpu.py` nothing; with 16 it takes up to twice the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

TILE = 4
WINDOW = TILE + 2
# With fewer channels the transforms cost more than the products save.
MIN_CHANNELS = 64
# With fewer tiles the transform of the kernel does: at 512 channels it takes as long as 16 tiles.
MIN_TILES = 32
# Pixels of all tiles per pixel of the image: 6x6, of four tiles, gains a third; 5x5, of as many, nothing.
MAX_PADDED = 2

# XLA computes a batch of matrix products in one thread, but several batches at the same time. So the 36 products are
# three batches, each of two rows of the transforms: 8% less time for a step of `configs/cpu.py` on two cores.
GROUPS = 3

# Where the polynomials of Toom and Cook are evaluated, beside infinity. Symmetric pairs keep the matrices sparse; those
# of the paper, 0, 1, -1, 2 and -2, make rounding errors four times as large (Barabasz et al. 2020, arXiv:1803.10986).
POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)


def _matrices(points: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the paper's B^T [6, 6], G [6, 3] and A^T [4, 6] for five points and infinity."""
    others = [[q for q in points if q != p] for p in points]
    polynomials = [np.poly(roots)[::-1] for roots in others]
    images = np.stack([*(np.append(p, 0.0) for p in polynomials), np.poly(points)[::-1]])
    powers = np.vander(points, TILE, increasing=True)
    scales = [math.prod(p - q for q in roots) for p, roots in zip(points, others, strict=True)]
    kernel = np.vstack([powers[:, :3] / np.array(scales)[:, None], [0, 0, 1]])
    output = np.column_stack([powers.T, [0, 0, 0, 1]])
    return images, kernel, output


INPUT_TRANSFORM, KERNEL_TRANSFORM, OUTPUT_TRANSFORM = _matrices(POINTS)


def is_faster(image_shape: Sequence[int], features: int, dtype: Any) -> bool:
    """Returns whether `conv` is exact enough and faster than XLA's convolution on a CPU.

    Args:
      image_shape: [batch, height, width, channels].
      features: channels of the output.
      dtype: dtype of the computation; 16 bits are too few for the transforms.
    """
    batch, height, width, channels = image_shape
    rows, columns = _tiles(height), _tiles(width)
    filled = rows * columns * TILE**2 <= MAX_PADDED * height * width
    many = min(channels, features) >= MIN_CHANNELS and batch * rows * columns >= MIN_TILES
    return dtype == jnp.float32 and filled and many


@jax.custom_vjp
def conv(
    images: Float[jax.Array, "batch height width channels"], kernel: Float[jax.Array, "3 3 channels features"]
) -> Float[jax.Array, "batch height width features"]:
    """Returns the 3x3 convolution of stride 1 with zeros around the image ("SAME").

    Args:
      images: float32 [batch, height, width, channels]; its last tiles are filled up with zeros.
      kernel: float32 [3, 3, channels, features].

    Returns:
      float32 [batch, height, width, features].
    """
    products = _products("ijtc,ijck->ijtk", _transform_images(images), _transform_kernel(kernel))
    return _inverse_transform(products, images.shape)


def _forward(images: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv(images, kernel), (images, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    images, kernel = saved
    # Rotated, but not transposed: the product reads the kernel's channels in either order, a copy of them is slow.
    rotated = _transform_kernel(kernel[::-1, ::-1])
    to_images = _products("ijtk,ijck->ijtc", _transform_images(gradient), rotated)
    to_kernel = _products("ijtc,ijtk->ijck", _transform_images(images), _transform_gradient(gradient))
    return _inverse_transform(to_images, images.shape), _transform_products(to_kernel)


conv.defvjp(_forward, _backward)


def _tiles(side: int) -> int:
    return -(-side // TILE)


def _missing(side: int) -> int:
    """Returns how many pixels the last tile lacks."""
    return -side % TILE


def _combine(matrix: np.ndarray, parts: Sequence[jax.Array]) -> jax.Array:
    """Returns the sums of `parts` that the rows of a matrix weigh, stacked in front."""
    rows = []
    for row in matrix.tolist():
        terms = [part if weight == 1 else weight * part for weight, part in zip(row, parts, strict=True) if weight]
        rows.append(sum(terms[1:], start=terms[0]))
    return jnp.stack(rows)


def _products(equation: str, left: Sequence[jax.Array], right: Sequence[jax.Array]) -> list[jax.Array]:
    """Returns the matrix products of each group."""
    return [jnp.einsum(equation, x, y) for x, y in zip(left, right, strict=True)]


def _grouped(rows: jax.Array) -> list[jax.Array]:
    """Returns the rows [6, ...] of a transform in groups [6 // GROUPS, ...]."""
    return jnp.split(rows, GROUPS)


def _transform_kernel(kernel: jax.Array) -> list[jax.Array]:
    """Returns G g G^T, groups of [rows, 6, channels, features]."""
    # Both axes at once, as one matrix product: kernels are small, and a product takes no time to compile.
    both = np.kron(KERNEL_TRANSFORM, KERNEL_TRANSFORM).astype(np.float32)
    flat = kernel.reshape(9, -1)
    return [jnp.matmul(rows, flat).reshape(-1, WINDOW, *kernel.shape[2:]) for rows in np.split(both, GROUPS)]


def _transform_products(products: Sequence[jax.Array]) -> jax.Array:
    """Returns G^T m G of groups of [rows, 6, channels, features], the gradient by the kernel."""
    both = np.kron(KERNEL_TRANSFORM.T, KERNEL_TRANSFORM.T).astype(np.float32)
    terms = [
        jnp.matmul(columns, group.reshape(columns.shape[1], -1))
        for columns, group in zip(np.split(both, GROUPS, axis=1), products, strict=True)
    ]
    return sum(terms[1:], start=terms[0]).reshape(3, 3, *products[0].shape[2:])


def _transform_images(images: jax.Array) -> list[jax.Array]:
    """Returns B^T d B of the tiles, which overlap by two, groups of [rows, 6, tiles, channels]."""
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1 + _missing(height)), (1, 1 + _missing(width)), (0, 0)))
    rows = _combine(INPUT_TRANSFORM, [padded[:, i : i + height : TILE] for i in range(WINDOW)])
    return [
        _combine(INPUT_TRANSFORM, [group[:, :, :, j : j + width : TILE] for j in range(WINDOW)])
        .swapaxes(0, 1)
        .reshape(len(group), WINDOW, -1, channels)
        for group in _grouped(rows)
    ]


def _transform_gradient(gradient: jax.Array) -> list[jax.Array]:
    """Returns A dY A^T of the tiles, groups of [rows, 6, tiles, features]."""
    batch, height, width, features = gradient.shape
    padded = jnp.pad(gradient, ((0, 0), (0, _missing(height)), (0, _missing(width)), (0, 0)))
    tiles = padded.reshape(batch, _tiles(height), TILE, _tiles(width), TILE, features)
    rows = _combine(OUTPUT_TRANSFORM.T, [tiles[:, :, i] for i in range(TILE)])
    return [
        _combine(OUTPUT_TRANSFORM.T, [group[:, :, :, :, j] for j in range(TILE)])
        .swapaxes(0, 1)
        .reshape(len(group), WINDOW, -1, features)
        for group in _grouped(rows)
    ]


def _inverse_transform(products: Sequence[jax.Array], image_shape: Sequence[int]) -> jax.Array:
    """Returns A^T m A of products, groups of [rows, 6, tiles, features], put together to images."""
    batch, height, width, _ = image_shape
    tiles = batch, _tiles(height), _tiles(width), products[0].shape[-1]
    rows = [row.reshape(WINDOW, *tiles) for group in products for row in group]
    columns = jnp.moveaxis(_combine(OUTPUT_TRANSFORM, rows), 0, 3)
    pixels = jnp.moveaxis(_combine(OUTPUT_TRANSFORM, list(columns)), 0, 4)
    return pixels.reshape(batch, TILE * _tiles(height), TILE * _tiles(width), -1)[:, :height, :width]
