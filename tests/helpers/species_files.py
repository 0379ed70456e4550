"""Files of species for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from butterflyer_jax.app.knowledge.reader import SPECIES_FOLDER

MONARCH = "Danaus_plexippus.yaml"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write(folder: Path, document: Any, name: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"{document['scientific_name'].replace(' ', '_')}.yaml")
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def monarch() -> Any:
    return read(SPECIES_FOLDER / MONARCH)


def invented(scientific_name: str = "Papilio fictus", common_name: str = "Invented Swallowtail") -> Any:
    document = monarch()
    document |= {"scientific_name": scientific_name, "common_names": [common_name], "synonyms": []}
    for entry in [*document["facts"].values(), *document["look_alikes"]]:
        entry["text"] = f"Of {scientific_name}: {entry['text']}"
    return document
