"""Inference with a trained run: images in, species names and heat maps out."""
