"""Names of photos: they stand in the indexes; of earlier data sets the lists beside the shards give them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import butterflyer_jax as bj
from butterflyer_jax.config import BuildConfig, Config, DataConfig
from butterflyer_jax.data.build import build
from butterflyer_jax.data.input.record_data import RecordData
from tests.conftest import folder_members, make_zip
from tests.helpers.built import as_built_earlier

SPLITS = ("train", "val", "test")
FOLD = Config(batch_size=8, data=DataConfig(num_folds=3, fold=2))


def names_of(folder: Path, config: Config | None = None) -> dict[str, list[str]]:
    with bj.open_data(folder, config) as data:
        return {split: data.photo_ids(split) for split in SPLITS}


def test_names_do_not_depend_on_the_lists_beside_the_shards(dataset: Path, tmp_path: Path) -> None:
    """Two photos of a species, exchanged in the list, were each named as the other when the list gave the order."""
    folder = Path(shutil.copytree(dataset, tmp_path / "edited"))
    (folder / "train.csv").unlink()
    lines = (folder / "test.csv").read_text().splitlines()
    (folder / "test.csv").write_text("\n".join([lines[0], *(f"x/{line}" for line in lines[1:])]))
    assert names_of(folder) == names_of(dataset)
    assert names_of(folder, FOLD) == names_of(dataset, FOLD)


def test_a_data_set_of_an_earlier_version_has_the_same_names_and_fingerprint(dataset: Path, tmp_path: Path) -> None:
    earlier = as_built_earlier(dataset, tmp_path / "earlier")
    assert names_of(earlier) == names_of(dataset)
    assert names_of(earlier, FOLD) == names_of(dataset, FOLD)
    fingerprints = []
    for folder in (earlier, dataset):
        data = RecordData(folder, Config(batch_size=8))
        fingerprints.append(data.fingerprint)
        data.close()
    assert fingerprints[0] == fingerprints[1]
    (earlier / "test.csv").unlink()
    assert names_of(earlier)["test"] == [f"test/{number}" for number in range(12)]
    with pytest.raises(bj.UserError, match="folds need the lists of the photos"):
        RecordData(earlier, FOLD)


def test_folds_of_a_data_set_without_a_split_of_val(tmp_path: Path) -> None:
    raw = make_zip(tmp_path / "raw.zip", folder_members(6))
    folder = Path(build(raw, tmp_path / "out", BuildConfig(image_size=48, val_fraction=0.0, test_fraction=0.2)))
    own, folds = names_of(folder, Config(batch_size=4)), names_of(folder, Config(batch_size=4, data=FOLD.data))
    assert not own["val"]
    assert sorted(name for names in folds.values() for name in names) == sorted(own["train"] + own["test"])
    assert [len(folds[split]) for split in SPLITS] == [6, 6, 6]
