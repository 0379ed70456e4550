"""VGG networks, their variables and their pretrained weights."""

from butterflyer_jax.models.vgg import VGG, create_model, forward_flops

__all__ = ["VGG", "create_model", "forward_flops"]
