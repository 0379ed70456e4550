"""Export to Keras, SavedModel, ONNX, LiteRT, StableHLO and safetensors, each read back by its runtime and compared."""

from butterflyer_jax.cli import make_callable
from butterflyer_jax.export.exporter import FORMATS, Written, default_path, export, require
from butterflyer_jax.export.places import CARD, CARD_TEXT, FOLDER, SPECIES, SUFFIXES, companion

__all__ = [
    "CARD",
    "CARD_TEXT",
    "FOLDER",
    "FORMATS",
    "SPECIES",
    "SUFFIXES",
    "Written",
    "companion",
    "default_path",
    "export",
    "require",
]

make_callable(__name__)
