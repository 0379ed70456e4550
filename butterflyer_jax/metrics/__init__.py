"""Losses, classification scores and calibration: numpy or jax, no import of the package."""
