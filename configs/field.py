"""configs/cpu.py with a network of twice the width, four times the computation: for photos from elsewhere.

butterflyer train --config field --input leeds_butterflies.zip --output DIR
"""

from butterflyer_jax import load_config
from butterflyer_jax.config import Config


def get_config() -> Config:
    """Returns the config."""
    return load_config("cpu", ["model.width_multiplier=0.5"])
