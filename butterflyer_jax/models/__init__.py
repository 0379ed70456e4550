"""The networks."""

from butterflyer_jax.models.vgg import VARIANTS, VGG, create_model

__all__ = ["VARIANTS", "VGG", "create_model"]
