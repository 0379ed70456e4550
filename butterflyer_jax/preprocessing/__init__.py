"""What is done to an image on the device: crop, resize, augmentation, mixing, normalisation."""
