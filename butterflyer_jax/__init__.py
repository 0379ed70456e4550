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

from importlib import metadata

from etils import epy

__version__ = metadata.version("butterflyer-jax")
__all__ = ["build", "load_config", "train", "evaluate", "Predictor", "export", "Config", "UserError"]

with epy.lazy_api_imports(globals()):
    from butterflyer_jax.cli import load_config
    from butterflyer_jax.config import Config
    from butterflyer_jax.data.build import build
    from butterflyer_jax.errors import UserError
    from butterflyer_jax.evaluate import evaluate
    from butterflyer_jax.export import export
    from butterflyer_jax.inference.predictor import Predictor
    from butterflyer_jax.train import train
