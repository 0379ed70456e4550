"""Train, evaluate and use a butterfly species classifier in JAX.

Public names are loaded when they are first used: importing the package imports neither jax nor tensorflow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from butterflyer_jax.cli import load_config
    from butterflyer_jax.config import Config, UserError
    from butterflyer_jax.predict import Predictor

__version__ = "0.1.0"
__all__ = ["Config", "Predictor", "UserError", "load_config"]

_HOMES = {
    "Config": "butterflyer_jax.config",
    "Predictor": "butterflyer_jax.predict",
    "UserError": "butterflyer_jax.config",
    "load_config": "butterflyer_jax.cli",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'butterflyer_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
