"""Export to Keras, SavedModel, ONNX, StableHLO and safetensors, each read back in its own runtime and compared."""

from butterflyer_jax.cli import make_callable
from butterflyer_jax.export.exporter import (
    CARD,
    CARD_TEXT,
    FOLDER,
    FORMATS,
    SPECIES,
    SUFFIXES,
    Written,
    companion,
    default_path,
    export,
    require,
)

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
