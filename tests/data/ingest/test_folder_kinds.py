"""Folders by their kinds: masks with company, counterparts of photos, countries, cameras and seasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from butterflyer_jax import UserError
from tests.data.ingest.test_layouts import SPECIES, labels, listing_of, tree


@pytest.mark.parametrize(
    "masks",
    ["SegmentationClass/{n}.png", "segmented_images/{n}.png", "images_masked/{n}.png", "Masks_PNG/{n}.png",
     "annotated images/{n}.png", "train_masks/{n}.png", "labels/{n}.png"],
)  # fmt: skip
@pytest.mark.parametrize("photos", ["{s}/{i}.jpg", "images/{s}/{i}.jpg"])
def test_masks_with_company_are_no_species(tmp_path: Path, masks: str, photos: str) -> None:
    listing = listing_of(tmp_path, tree(photos) | tree(masks))
    assert set(labels(listing).values()) == set(SPECIES)
    assert listing.ignored == {f"in {masks.split('/')[0]}/": 18}


def test_species_that_sound_like_masks_stay(tmp_path: Path) -> None:
    files = tree("{s}/{i}.jpg", ("Mask Butterfly", "Masked Birch Caterpillar", "Label Moth"))
    assert labels(listing_of(tmp_path, files)) == {name: name.split("/")[0] for name in files}


def test_pictures_of_the_same_names_as_all_photos_are_asked_about(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg") | tree("alpha/{n}.png")
    with pytest.raises(UserError, match=r"alpha/ holds a picture of the same name .*build\.ignore=\*alpha/\* leaves"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, ignore="*alpha/*")).values()) == set(SPECIES)
    assert "alpha" in labels(listing_of(tmp_path, files, layout="leaf")).values()


@pytest.mark.parametrize(
    "two",
    [
        ("Germany", "France"), ("California", "Texas"), ("Canon EOS 80D", "iPhone 12"), ("Summer 2020", "Summer 2021"),
        ("2019_season", "Yr2020"), ("2019", "2020-21"), ("Session 2020-06-01", "Session 2020-06-02"), ("Q1", "Q2"),
        ("Region North", "Region South"), ("observer_anna", "observer_ben"), ("GBIF", "iNaturalist"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pattern", ["{two}/{{s}}/{x}{{i}}.jpg", "{{s}}/{two}/{x}{{i}}.jpg"])
def test_circumstances_by_more_words(tmp_path: Path, two: tuple[str, str], pattern: str) -> None:
    files = tree(pattern.format(two=two[0], x="")) | tree(pattern.format(two=two[1], x="x"))
    truth = {name: next(part for part in name.split("/") if part in SPECIES) for name in files}
    assert labels(listing_of(tmp_path, files)) == truth


@pytest.mark.parametrize(
    "species",
    [("Florida White", "Texas Crescent"), ("Spring Azure", "Summer Azure"), ("Map", "Comma"), ("Sony", "Monarch")],
)
def test_species_that_sound_like_circumstances_stay(tmp_path: Path, species: tuple[str, ...]) -> None:
    files = tree("{s}/{i}.jpg", species)
    if species[0] == "Sony":
        # A name beside that of a camera: neither is taken for the other.
        listing = listing_of(tmp_path, files)
        assert [reject.reason[:8] for reject in listing.rejects] == ["in Sony/"] * 6
        return
    assert labels(listing_of(tmp_path, files)) == {name: name.split("/")[0] for name in files}


def test_folders_without_a_value_for_a_name_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nan/ \(photos: 6\) may be a class .*build\.ignore=nan/\* leaves"):
        listing_of(tmp_path, tree("{s}/{i}.jpg") | tree("{s}/{i}.jpg", ("nan",)))


def test_photos_beside_the_wrapped_species_name_no_other(tmp_path: Path) -> None:
    files = tree("set/{s}/{i}.jpg", count=10) | {"set/cover.jpg": b"x"}
    listing = listing_of(tmp_path, files)
    assert set(labels(listing).values()) == set(SPECIES)
    assert [reject.member for reject in listing.rejects] == ["set/cover.jpg"]
