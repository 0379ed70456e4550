"""Species in file names: pointed out, taken by build.layout=name, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layout_kinds import splits_of
from tests.data.ingest.test_layouts import SPECIES, labels, listing_of, tree


@pytest.mark.parametrize(
    "pattern",
    [
        "{s}_{n:03}.jpg",
        "images/{s} ({n}).jpg",
        "{n}-{s}.jpg",
        "my set/{s}{n}.jpg",
        "IMG_{n}_{s}.jpg",
        "DSC{n} ({s}).jpg",
    ],
)
def test_species_in_file_names(tmp_path: Path, pattern: str) -> None:
    files = {pattern.format(s=s.replace(" ", "_"), n=10 * k + i): b"x" for k, s in enumerate(SPECIES) for i in range(6)}
    with pytest.raises(UserError, match=r"file names may.*Monarch, Peacock, Red Admiral \(build\.layout=name takes"):
        manifest.check_species(listing := listing_of(tmp_path, files), listing.members)
    listing = listing_of(tmp_path, files, layout="name")
    assert labels(listing) == {name: next(s for s in SPECIES if s.replace(" ", "_") in name) for name in files}


@pytest.mark.parametrize("pattern", ["IMG_{n}.jpg", "{n}.jpg", "DSC_{n}.jpg", "{s}.jpg"])
def test_file_names_without_species(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UserError, match=r"the photos lie in no folder.*add a labels\.csv"):
        listing_of(tmp_path, tree(pattern))


def test_splits_stay_where_file_names_have_the_species(tmp_path: Path) -> None:
    files = tree("train/{s}_{n}.jpg") | tree("test/{s}_9{n}.jpg", count=1) | {"test/7.jpg": b"x"}
    listing = listing_of(tmp_path, files, layout="name")
    assert splits_of(listing) == {"train": "train", "test": "test"}
    assert set(labels(listing).values()) == set(SPECIES)
    assert [r.reason for r in listing.rejects] == ["its file name has no species, only numbers"]


def test_species_by_the_first_digits_of_names_are_pointed_out(tmp_path: Path) -> None:
    """Leeds as it comes."""
    names = [f"{k:03}{i:04}.png" for k in (1, 2, 3) for i in range(4)]
    for folder in ("images", "leedsbutterfly/images"):
        with pytest.raises(UserError, match=r"begin with 001, 002, 003, which may number the species.*labels\.csv"):
            manifest.check_species(
                listing := listing_of(tmp_path, {f"{folder}/{name}": b"x" for name in names}), listing.members
            )
