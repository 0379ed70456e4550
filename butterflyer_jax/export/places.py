"""Where the files of an export lie."""

from __future__ import annotations

from typing import Any

FOLDER = "export"
SUFFIXES = (".keras", ".onnx", ".stablehlo", ".safetensors", ".tflite")
CARD, CARD_TEXT, SPECIES = "card.json", "card.md", "species.txt"


def companion(path: Any, name: str) -> Any:
    """Returns the path of a file beside an exported file, or inside an exported folder."""
    return path.with_name(f"{path.name}.{name}") if path.suffix in SUFFIXES else path / name
