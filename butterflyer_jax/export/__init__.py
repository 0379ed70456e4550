"""Export to Keras, SavedModel, ONNX, LiteRT, StableHLO and safetensors, each read back by its runtime and compared."""

from butterflyer_jax.cli import make_callable
from butterflyer_jax.export.exporter import FORMATS, Written, export

__all__ = ["FORMATS", "Written", "export"]

make_callable(__name__)
