"""VGG (Simonyan & Zisserman 2015, arXiv:1409.1556) of 11, 13, 16 or 19 layers, by one table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Float32

from butterflyer_jax.config import VARIANTS, ModelConfig
from butterflyer_jax.models.batch_norm import BatchNormRelu
from butterflyer_jax.models.bias_relu import ConvRelu
from butterflyer_jax.models.layers import conv_on_cpu, conv_padding_channels, max_pool

WIDTHS = (64, 128, 256, 512, 512)
DENSE_WIDTH = 4096
# Of a batch, in training on one CPU. The activations of half a batch fit its caches better, and XLA computes what does
# not depend on each other at the same time: 9% less time for a step of VGG16 of a quarter of the width on two cores.
PARTS = 2


class VGG(nn.Module):
    """VGG in Flax Linen; layers are named as in Keras: `block1_conv1` to `block5_conv3`, `fc1`, `fc2`, `logits`.

    Attributes:
      num_classes: length of the logits.
      variant: a key of `config.VARIANTS`.
      batch_norm: normalise after every convolution, which then has no bias.
      batch_norm_momentum: share of the running statistics that a step keeps.
      head: "fc", two hidden dense layers on the flattened maps, or "gap", the mean of each map.
      width_multiplier: factor on every layer's width.
      dropout: share of activations dropped in the head.
      remat: "none", or "blocks": a block keeps its result alone for the gradient, and is computed again for it.
      for_cpu: compute convolutions and, in training, what follows them in the formulation that is fastest on one CPU
        (`layers.conv_on_cpu`, `models.bias_relu`, `models.batch_norm`): the same to rounding, but a longer program,
        unsuitable for exported files.
      dtype: dtype of the computation; parameters and logits are float32.
    """

    num_classes: int
    variant: str = "vgg16"
    batch_norm: bool = False
    batch_norm_momentum: float = 0.9
    head: str = "fc"
    width_multiplier: float = 1.0
    dropout: float = 0.5
    remat: str = "none"
    for_cpu: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[jax.Array, "batch height width 3"], train: bool
    ) -> Float32[jax.Array, "batch num_classes"]:
        """Maps normalised images, float [batch, height, width, 3], to logits, float32 [batch, num_classes]."""
        x = images.astype(self.dtype)
        parts = jnp.array_split(x, PARTS) if self._in_parts(train, x.shape) else [x]
        for block in range(1, 1 + len(WIDTHS)):

            def forward(model: VGG, parts: list[jax.Array], block: int = block) -> list[jax.Array]:
                return model._block(parts, block, train)

            parts = (nn.remat(forward) if self.remat == "blocks" and train else forward)(self, parts)
        x = jnp.concatenate(parts)

        if self.head == "gap":
            x = x.mean(axis=(1, 2))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        else:
            x = x.reshape(x.shape[0], -1)
            for name in ("fc1", "fc2"):
                x = nn.Dense(
                    scaled(DENSE_WIDTH, self.width_multiplier),
                    kernel_init=nn.initializers.he_normal(),
                    dtype=self.dtype,
                    name=name,
                )(x)
                x = nn.relu(x)
                x = nn.Dropout(self.dropout, deterministic=not train)(x)
        # The last layer stays in float32: bfloat16 logits cost accuracy and save nothing.
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="logits")(
            x.astype(jnp.float32)
        )

    def _in_few_passes(self, train: bool) -> bool:
        return train and self.for_cpu and self.dtype == jnp.float32

    def _in_parts(self, train: bool, image_shape: Sequence[int]) -> bool:
        # Batch normalisation needs the whole batch after every convolution.
        if not self._in_few_passes(train) or self.batch_norm or image_shape[0] < PARTS:
            return False
        # Each part reads all kernels and adds to their gradients: not where these are larger than what it computes.
        first, last = scaled(WIDTHS[0], self.width_multiplier), scaled(WIDTHS[-1], self.width_multiplier)
        return image_shape[0] // PARTS * image_shape[1] * image_shape[2] * first > 9 * last**2

    def _block(self, parts: list[jax.Array], block: int, train: bool) -> list[jax.Array]:
        depth, width = VARIANTS[self.variant][block - 1], scaled(WIDTHS[block - 1], self.width_multiplier)
        in_few_passes = self._in_few_passes(train)
        for layer in range(1, 1 + depth):
            last, name = layer == depth, f"block{block}_conv{layer}"
            if in_few_passes and not self.batch_norm:
                parts = _apply(ConvRelu(width, pool=last, name=name), parts)
                continue
            conv = nn.Conv(
                width,
                kernel_size=(3, 3),
                padding="SAME",
                use_bias=not self.batch_norm,
                kernel_init=nn.initializers.he_normal(),
                conv_general_dilated=conv_on_cpu if self.for_cpu else conv_padding_channels,
                dtype=self.dtype,
                name=name,
            )
            parts = _apply(conv, parts)
            norm_name = f"block{block}_bn{layer}"
            # Measured on one CPU in float32, and on a GPU in 16 bits.
            if self.batch_norm and train and (in_few_passes or jnp.dtype(self.dtype).itemsize == 2):
                norm_relu = BatchNormRelu(self.batch_norm_momentum, pool=last, for_cpu=in_few_passes, name=norm_name)
                parts = _apply(norm_relu, parts)
                continue
            if self.batch_norm:
                norm = nn.BatchNorm(
                    use_running_average=not train,
                    momentum=self.batch_norm_momentum,
                    dtype=self.dtype,
                    name=norm_name,
                )
                parts = _apply(norm, parts)
            parts = _apply(nn.relu, parts)
            if last:
                parts = _apply(max_pool, parts)
        return parts


def _apply(layer: Callable[[jax.Array], jax.Array], parts: list[jax.Array]) -> list[jax.Array]:
    return [layer(part) for part in parts]


def create_model(config: ModelConfig, num_classes: int, dtype: Any = jnp.float32, *, for_cpu: bool = False) -> VGG:
    """Returns the network that `config` describes; its `init` creates the parameters.

    Args:
      config: architecture of the network.
      num_classes: length of the logits.
      dtype: dtype of the computation.
      for_cpu: whether it runs on a CPU here, rather than on an accelerator or as an exported file.
    """
    return VGG(
        num_classes=num_classes,
        variant=config.variant,
        batch_norm=config.batch_norm,
        batch_norm_momentum=config.batch_norm_momentum,
        head=config.head,
        width_multiplier=config.width_multiplier,
        dropout=config.dropout,
        remat=config.remat,
        for_cpu=for_cpu,
        dtype=dtype,
    )


def forward_flops(params: Any, image_size: int) -> dict[str, float]:
    """Returns the floating-point operations of each layer for one image, a multiplication and an addition as two.

    Convolutions and dense layers only; all other operations add about a thousandth.

    Args:
      params: parameters of a VGG, arrays or their shapes.
      image_size: side of the input, pixels.
    """
    flops = {}
    for name, layer in params.items():
        if "kernel" not in layer:
            continue
        block = re.match(r"block(\d)_conv", name)
        positions = (image_size >> (int(block[1]) - 1)) ** 2 if block else 1
        flops[name] = 2.0 * math.prod(layer["kernel"].shape) * positions
    return flops


def scaled(width: int, multiplier: float) -> int:
    """Returns `width * multiplier`, rounded to a whole number of at least 1."""
    return max(1, round(width * multiplier))
