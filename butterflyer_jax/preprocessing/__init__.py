"""Preprocessing of images on the device: crop, resize, augmentation, mixing, normalisation."""
