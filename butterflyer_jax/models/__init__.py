"""The networks."""

from butterflyer_jax.models.vgg import VARIANTS, VGG, create_model, forward_flops

__all__ = ["VARIANTS", "VGG", "create_model", "forward_flops"]
