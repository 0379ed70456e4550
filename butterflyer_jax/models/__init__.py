"""VGG networks, their variables and their pretrained weights."""

from butterflyer_jax.models.vgg import VARIANTS, VGG, create_model, forward_flops

__all__ = ["VARIANTS", "VGG", "create_model", "forward_flops"]
