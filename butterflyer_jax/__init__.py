"""Train, evaluate and use a butterfly species classifier in JAX.

    import butterflyer_jax as bj

    records = bj.build("butterflies.zip", "data")
    summary = bj.train(bj.load_config("configs/cpu.py"), records, "runs/first")
    bj.evaluate(summary.run)["top1"]
    bj.Predictor.load(summary.run).predict(["photo.jpg"])
    bj.export(summary.run, "onnx", "model.onnx")

Public names are loaded when they are first used: importing the package imports neither jax nor tensorflow. `train`,
`evaluate` and `export` are modules that can be called as their function; `from butterflyer_jax.train import train` is
the function itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from butterflyer_jax.cli import load_config
    from butterflyer_jax.config import Config, UserError
    from butterflyer_jax.data.build import build
    from butterflyer_jax.evaluate import evaluate
    from butterflyer_jax.export import export
    from butterflyer_jax.predictor import Predictor
    from butterflyer_jax.train import train

__version__ = "0.1.0"
__all__ = ["build", "load_config", "train", "evaluate", "Predictor", "export", "Config", "UserError"]

_HOMES = {
    "Config": "butterflyer_jax.config",
    "Predictor": "butterflyer_jax.predictor",
    "UserError": "butterflyer_jax.config",
    "build": "butterflyer_jax.data.build",
    "load_config": "butterflyer_jax.cli",
}


# Modules that are called as the function of their name.
_CALLABLE = ("train", "evaluate", "export")


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return importlib.import_module(f"butterflyer_jax.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'butterflyer_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
