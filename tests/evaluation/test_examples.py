from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.config import ExamplesConfig
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.evaluation import examples
from butterflyer_jax.runs import examples as examples_file
from tests.conftest import SPECIES


def test_typical_images_are_central_and_not_alike() -> None:
    rng = np.random.default_rng(0)
    upper = rng.normal(0, 1, (20, 4))
    lower = rng.normal(20, 1, (10, 4))
    upper[3], lower[5] = upper.mean(axis=0), lower.mean(axis=0)
    outlier = np.full((1, 4), 24.0)
    chosen = examples.most_typical(np.concatenate([upper, lower, outlier]), 2)
    assert chosen[0] == 3
    assert 20 <= chosen[1] < 30
    assert examples.most_typical(upper[:2], 3).tolist() == [0, 1]


def test_look_alikes_are_confused_in_either_way() -> None:
    probabilities = np.array(
        [[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0, 1, 0, 0], [0.3, 0.2, 0.5, 0], [0, 0, 0.001, 0.999]]
    )
    found = examples.look_alikes(probabilities, np.array([0, 0, 1, 2, 3]), "abcd")
    assert found == {"a": ("c", "b"), "b": ("c", "a"), "c": ("a", "b"), "d": ()}


def test_a_run_keeps_small_photos_of_its_species(trained_run: Path) -> None:
    run = runs.read(trained_run)
    kept = examples_file.read(run)
    assert kept is not None
    assert tuple(kept.photos) == SPECIES
    for jpegs in kept.photos.values():
        assert len(set(jpegs)) == 3
        for jpeg in jpegs:
            assert max(Image.open(io.BytesIO(jpeg)).size) <= examples.LONGER_SIDE
    for name, others in kept.look_alikes.items():
        assert set(others) <= {*SPECIES} - {name}


def test_another_number_of_photos_is_chosen_anew(trained_run: Path, tmp_path: Path) -> None:
    saved = runs.read(trained_run)
    loaded = runs.load_model(saved)
    config = dataclasses.replace(saved.config, examples=ExamplesConfig(photos_per_species=1))
    run = dataclasses.replace(saved, config=config, folder=type(saved.folder)(tmp_path))
    with contextlib.closing(dataset_lib.open_data(saved.dataset, config, for_training=False)) as data:
        chosen = examples.choose(dataclasses.replace(loaded, run=run), data)
        assert chosen is not None
        assert [len(jpegs) for jpegs in chosen.photos.values()] == [1, 1, 1]
        written = (tmp_path / examples_file.FILE).read_bytes()
        assert examples.choose(dataclasses.replace(loaded, run=run), data) == chosen
        assert (tmp_path / examples_file.FILE).read_bytes() == written
        none = dataclasses.replace(config, examples=ExamplesConfig(photos_per_species=0))
        off = dataclasses.replace(loaded, run=dataclasses.replace(run, config=none))
        assert examples.choose(off, data) is None
