"""The config file that a command reads where none is given: the defaults of all fields."""

from butterflyer_jax.config import Config


def get_config() -> Config:
    """Returns the config."""
    return Config()
