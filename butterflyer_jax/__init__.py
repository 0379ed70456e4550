"""Train, evaluate and use a butterfly species classifier in JAX.

    import butterflyer_jax as bj

    records = bj.build("butterflies.zip", "data")
    run = bj.train(bj.load_config("configs/cpu.py"), records, "runs/first")    # later: bj.Run("runs/first")
    run.evaluate()["top1"]
    run.predict("photo.jpg")["species"]
    run.export("onnx", "model.onnx")
    with bj.open_data(records) as data:
        image = data.images("train", [0])[0]

Public names are loaded when they are first used: importing the package imports neither jax nor tensorflow. `train`,
`evaluate`, `audit` and `export` are modules that can be called as their function; `from butterflyer_jax.train import
train` is the function itself.
"""

from importlib import metadata

from etils import epy

__version__ = metadata.version("butterflyer-jax")
__all__ = [
    "build",
    "open_data",
    "load_config",
    "train",
    "Run",
    "evaluate",
    "audit",
    "Predictor",
    "export",
    "Config",
    "UserError",
]

with epy.lazy_api_imports(globals()):
    from butterflyer_jax.api.data import open_data
    from butterflyer_jax.api.run import Run
    from butterflyer_jax.audit import audit
    from butterflyer_jax.cli import load_config
    from butterflyer_jax.config import Config
    from butterflyer_jax.data.build import build
    from butterflyer_jax.errors import UserError
    from butterflyer_jax.evaluate import evaluate
    from butterflyer_jax.export import export
    from butterflyer_jax.inference.predictor import Predictor
    from butterflyer_jax.train import train


def __dir__() -> list[str]:
    """Returns the public names: a notebook completes no modules that happen to be imported."""
    return [*__all__, "__version__"]
