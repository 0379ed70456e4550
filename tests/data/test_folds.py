"""Folds of a data set, and the groups that they keep together."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import folds, photo_lists
from butterflyer_jax.data.build import build
from tests.conftest import encode, folder_members, make_zip

SMALL = BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2)


def test_folds_are_equal_in_each_species_and_do_not_depend_on_the_order() -> None:
    names = [f"{species}/{number}.jpg" for species in "abc" for number in range(23)]
    labels = [name[0] for name in names]
    groups = {name: name[0] + "pair" for name in names if name[2:] in ("1.jpg", "2.jpg")}
    found = folds.assign(names, labels, groups, 5)
    for species in "abc":
        counts = np.bincount(found[[label == species for label in labels]], minlength=5)
        assert counts.sum() == 23 and counts.max() - counts.min() <= 1
    assert np.bincount(found).tolist() == [14, 14, 14, 14, 13]
    by_name = dict(zip(names, found, strict=True))
    assert all(by_name[f"{species}/1.jpg"] == by_name[f"{species}/2.jpg"] for species in "abc")
    order = np.random.default_rng(0).permutation(len(names))
    again = folds.assign([names[n] for n in order], [labels[n] for n in order], groups, 5)
    assert dict(zip([names[n] for n in order], again, strict=True)) == by_name


def test_more_folds_than_groups_are_refused() -> None:
    names = [f"{number}.jpg" for number in range(8)]
    groups = {name: f"site {number // 2}" for number, name in enumerate(names)}
    assert len(set(folds.splits(names, ["a"] * 8, groups, 4, 1))) == 3
    with pytest.raises(UserError, match=r"5 folds of 8 photos leave 1 empty, .*: take 4 folds at most"):
        folds.splits(names, ["a"] * 8, groups, 5, 1)


def test_a_data_set_lists_all_its_groups(tmp_path: Path) -> None:
    """Those of a table, and near-duplicates across them."""
    members = folder_members(6)
    copied = members["Green Dot/000.jpg"]
    members["Green Dot/copy.jpg"] = encode(Image.open(io.BytesIO(copied)).resize((48, 42)), quality=70)
    rows = [f"{name},{name.split('/')[0]},{'s' + str(n // 2) if n < 4 else ''}" for n, name in enumerate(members)]
    members["labels.csv"] = "\n".join(["filename,label,specimen", *rows]).encode()
    folder = Path(build(make_zip(tmp_path / "raw.zip", members), tmp_path / "out", SMALL))
    found = photo_lists.groups(folder)
    assert len(found) == 6 and len(set(found.values())) == 3
    assert found["Blue Stripe/000.jpg"] == found["Blue Stripe/001.jpg"] != found["Blue Stripe/002.jpg"]
    assert found["Green Dot/000.jpg"] == found["Green Dot/copy.jpg"]
    splits = {
        row["photo_id"]: split
        for split in ("train", "val", "test")
        for row in csv.DictReader((folder / f"{split}.csv").open())
    }
    assert all(splits[one] == splits[other] for one in found for other in found if found[one] == found[other])
    # One that an older version built lists near-duplicates alone.
    (folder / "groups.csv").unlink()
    with pytest.raises(UserError, match="did not list its groups by specimen: build it again"):
        photo_lists.groups(folder)
    card = folder / "data_card.json"
    card.write_text(card.read_text().replace('"specimen"', ""))
    assert set(photo_lists.groups(folder)) == {"Green Dot/000.jpg", "Green Dot/copy.jpg"}
