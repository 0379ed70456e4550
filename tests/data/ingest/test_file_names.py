"""Species in file names: pointed out, taken by build.layout=name, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layout_kinds import splits_of
from tests.data.ingest.test_layouts import SPECIES, Files, labels, listing_of, tree


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


@pytest.mark.parametrize(
    ("pattern", "species", "taken"),
    [
        ("{family}/{s} {i}.jpg", ("Danaus plexippus", "Aglais io", "Pieris rapae"), "Danaus plexippus"),
        ("{family}/{e}_{i}.jpg", ("Danaus plexippus", "Pieris napi", "Pieris rapae"), "plexippus"),
    ],
)
def test_species_in_the_names_of_photos_of_a_higher_taxon_are_asked_about(
    tmp_path: Path, pattern: str, species: tuple[str, ...], taken: str
) -> None:
    families = ("Danaus", "Pieris", "Pieris")
    files: Files = {
        pattern.format(family=families[k], s=s, e=s.split()[1], i=i): b"x"
        for k, s in enumerate(species)
        for i in range(4)
    }
    with pytest.raises(
        UserError, match=r"the species may be the folders \(Danaus, Pieris\) or the names of their photos"
    ):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, layout="leaf")).values()) == {"Danaus", "Pieris"}
    assert taken in set(labels(listing_of(tmp_path, files, layout="name")).values())


@pytest.mark.parametrize("name", ["{s}/male_{i}.jpg", "{s}/{v}_{i}.jpg", "{s}/{s}_{i}.jpg", "{s}/image{i}.jpg"])
def test_words_in_the_names_of_photos_are_no_species(tmp_path: Path, name: str) -> None:
    files: Files = {
        name.format(s=s, i=i, v=("anna", "bella", "carla")[i % 3]): b"x"
        for s in ("Monarch", "Vanessa", "Comma")
        for i in range(6)
    }
    assert labels(listing_of(tmp_path, files)) == {photo: photo.split("/")[0] for photo in files}


def test_splits_in_file_names_are_offered(tmp_path: Path) -> None:
    files: Files = {f"{s}/{('train', 'test')[i > 3]}_{i}.jpg": b"x" for s in ("Monarch", "Comma") for i in range(6)}
    listing = listing_of(tmp_path, files)
    assert "build.split_column=file_name takes those of the names" in listing.notes[0]
    assert {member.split for member in listing.members} == {None}
    listing = listing_of(tmp_path, files, split_column="file_name")
    assert all(f"/{member.split}_" in member.name for member in listing.members)


def test_photos_named_after_another_species_are_asked_about(tmp_path: Path) -> None:
    names = {
        f"{s}/{SPECIES[(k + (i == 5)) % 3]}_{n}.jpg": s for k, s in enumerate(SPECIES) for n, i in enumerate(range(6))
    }
    with pytest.raises(UserError, match=r"3 photos are named after another .*Peacock by its name, Monarch by the fold"):
        listing_of(tmp_path, dict.fromkeys(names, b"x"))
    assert labels(listing_of(tmp_path, dict.fromkeys(names, b"x"), layout="leaf")) == names
    by_name = labels(listing_of(tmp_path, dict.fromkeys(names, b"x"), layout="name"))
    assert by_name == {name: name.split("/")[1].split("_")[0] for name in names}
    flat = {f"images/{name.replace('/', '_').split('_', 1)[1]}": s for name, s in names.items()}
    table = "\n".join(["file,species", *(f"{name},{s}" for name, s in flat.items())])
    files: Files = dict.fromkeys(flat, b"x") | {"l.csv": table}
    with pytest.raises(UserError, match=r"by l\.csv \(file, species\); build\.layout=table takes the table"):
        listing_of(tmp_path, files)
    assert labels(listing_of(tmp_path, files, layout="table")) == flat
