"""A run with a typicality: a copy of the shared one, whose data set has too few photos for it by itself."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from butterflyer_jax import runs
from butterflyer_jax.data import dataset
from butterflyer_jax.evaluation import refusal
from butterflyer_jax.metrics import typicality


def make(trained_run: Path, folder: Path, species: Sequence[str] | None = None) -> Path:
    """Copies a run, under other names of its species if they are given, and fits its typicality."""
    shutil.copytree(trained_run, folder, ignore=shutil.ignore_patterns("eval", "export", "report"))
    if species:
        config = folder / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"species": list(species)}))
    loaded = runs.load_model(runs.read(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typicality, "MIN_VAL", 5)
        with contextlib.closing(dataset.open_data(loaded.run.dataset, loaded.config)) as data:
            assert refusal.fit(loaded, data)
    return folder
