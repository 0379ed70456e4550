"""Folders by their kinds: masks with company, counterparts of photos, countries, cameras and seasons."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import UserError
from tests.conftest import encode, make_photo
from tests.data.ingest.test_layouts import SPECIES, Files, labels, listing_of, tree


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


def flat(kind: str, seed: int) -> bytes:
    """An image of a disc: black and white, with soft edges, as a palette of classes, or as grey levels of a photo."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160]
    distance = np.hypot(y - rng.integers(40, 80), x - rng.integers(50, 110)) - rng.integers(20, 35)
    if kind == "binary":
        return encode(Image.fromarray((distance < 0).astype(np.uint8) * 255), "PNG")
    if kind == "matte":
        return encode(Image.fromarray((128 - 60 * distance).clip(0, 255).astype(np.uint8)), "JPEG")
    if kind == "classes":
        return encode(Image.fromarray((distance < 0) + (distance < -9).astype(np.uint8)).convert("P"), "GIF")
    return encode(Image.fromarray((128 + 2 * distance).clip(0, 255).astype(np.uint8)), "PNG")


@pytest.mark.parametrize(("kind", "name"), [("binary", "s{}.png"), ("matte", "s{}.jpg"), ("classes", "s{}.gif")])
def test_a_folder_of_masks_is_asked_about_by_its_pixels(tmp_path: Path, kind: str, name: str) -> None:
    """Neither the folder's name nor those of its files give them away."""
    files = {file: make_photo(n, 900, 700) for n, file in enumerate(tree("{s}/{n}.jpg"))}
    files |= {f"alpha/{name.format(n)}": flat(kind, n) for n in range(7)}
    with pytest.raises(UserError, match=r"alpha/ \(photos: 7\) may be a class .* masks.*build\.ignore=alpha/\* leaves"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, ignore="alpha/*")).values()) == set(SPECIES)
    assert set(labels(listing_of(tmp_path, files, layout="leaf")).values()) == {*SPECIES, "alpha"}


def test_species_of_grey_photos_or_silhouettes_stay(tmp_path: Path) -> None:
    photos = {file: make_photo(n, 900, 700) for n, file in enumerate(tree("{s}/{n}.jpg"))}
    for files in (
        photos | {f"Grey/{n}.png": flat("grey", n) for n in range(7)},
        # One silhouette among photos, and a set of nothing else.
        photos | {"Monarch/s.png": flat("binary", 0)},
        {file: flat("binary", n) for n, file in enumerate(photos)},
    ):
        assert labels(listing_of(tmp_path, files)) == {name: name.split("/")[0] for name in files}


@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_masks_of_the_suffix_and_size_of_the_photos_are_asked_about(tmp_path: Path, suffix: str) -> None:
    kind = {"jpg": "JPEG", "bmp": "BMP"}[suffix]
    files = {
        f"{name}.{suffix}": encode(Image.open(io.BytesIO(make_photo(n, 60, 40))), kind)
        for n, name in enumerate(tree("{s}/{n}"))
    }
    files |= {f"alpha/{n}.{suffix}": encode(Image.open(io.BytesIO(flat("matte", n))), kind) for n in range(7)}
    assert len(files["alpha/0." + suffix]) > len(files["Monarch/0." + suffix]) / 3
    with pytest.raises(UserError, match=r"alpha/ \(photos: 7\) may be a class .* masks.*build\.ignore=alpha/\* leaves"):
        listing_of(tmp_path, files)


@pytest.mark.parametrize(("pattern", "ignored"), [("{kind}/{u}/{i}.jpg", "bits/*"), ("{u}/{kind}/{i}.jpg", "*/bits/*")])
def test_a_tree_of_masks_beside_that_of_photos_is_asked_about(tmp_path: Path, pattern: str, ignored: str) -> None:
    species = ("Danaus plexippus", "Vanessa atalanta", "Aglais io")
    places = [(u, i) for u in species for i in range(3)]
    files = {pattern.format(kind="rgb", u=u, i=i): make_photo(n, 60, 40) for n, (u, i) in enumerate(places)}
    files |= {pattern.format(kind="bits", u=u, i=i): flat("matte", n) for n, (u, i) in enumerate(places)}
    asked = re.escape(f"build.ignore={ignored} leaves")
    with pytest.raises(UserError, match=rf"bits/ \(photos: 9\) may be a class .* masks: .*{asked}"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, ignore=ignored)).values()) == set(species)


def test_the_same_photos_in_grey_are_asked_about(tmp_path: Path) -> None:
    species = ("Danaus plexippus", "Vanessa atalanta", "Aglais io")
    colour = {f"colour/{s}/{i}.jpg": make_photo(3 * k + i, 60, 40) for k, s in enumerate(species) for i in range(3)}
    grey = {n.replace("colour", "grey"): encode(Image.open(io.BytesIO(d)).convert("L")) for n, d in colour.items()}
    with pytest.raises(UserError, match=r"colour/ and grey/ hold the same pictures .* build\.ignore=\*grey/\* leaves"):
        listing_of(tmp_path, colour | grey)
    assert len(listing_of(tmp_path, colour | grey, ignore="*grey/*").members) == 9
    assert len(listing_of(tmp_path, colour | grey, layout="leaf").members) == 18
    others = {f"trip/{name}": make_photo(100 + n, 60, 40) for n, name in enumerate(colour)}
    assert len(listing_of(tmp_path, colour | others).members) == 18


@pytest.mark.parametrize("name", ["bad_images.txt", "exclude.csv", "Duplicates list.txt", "to-delete.txt"])
def test_lists_of_photos_that_may_not_be_used_are_asked_about(tmp_path: Path, name: str) -> None:
    files = tree("{s}/{n}.jpg")
    bad = list(files)[::7]
    listed: Files = files | {name: "\n".join(["file", *bad])}
    file = re.escape(name)
    with pytest.raises(
        UserError, match=rf"{file} lists 3 photos, such as {bad[0]}.*build\.ignore={file} leaves the list"
    ):
        listing_of(tmp_path, listed)
    listing = listing_of(tmp_path, listed, ignore="label:excluded")
    assert labels(listing) == {name: name.split("/")[0] for name in files if name not in bad}
    assert labels(listing_of(tmp_path, listed, ignore=name)) == {name: name.split("/")[0] for name in files}


@pytest.mark.parametrize("head", ["file,species", "file,correct_species"])
def test_a_few_rows_that_name_other_folders_are_asked_about(tmp_path: Path, head: str) -> None:
    """Each folder has one label there, and each label one folder: not other names of the folders all the same."""
    files = tree("{s}/{n}.jpg")
    for corrections in (["0.jpg,Peacock"], ["0.jpg,Peacock", "21.jpg,Monarch"]):
        table = "\n".join([head, *corrections])
        with pytest.raises(UserError, match=r"by its folder Monarch/0\.jpg is 'Monarch', by c\.csv .* 'Peacock'"):
            listing_of(tmp_path, files | {"c.csv": table})


def test_a_few_rows_of_new_names_do_not_rename_whole_folders(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg")
    names = list(dict.fromkeys(name.split("/")[0] for name in files))
    rows = [f"{name}/{min(file.split('/')[1] for file in files if file.startswith(name))}" for name in names]
    some = "\n".join(["file,species", f"{rows[0]},Painted Lady", f"{rows[1]},Red Admiral"])
    with pytest.raises(UserError, match=rf"by its folder {rows[1]} is '{names[1]}', by c\.csv .* 'Red Admiral'"):
        listing_of(tmp_path, files | {"c.csv": some})
    # A name for each folder is a list of the classes.
    every = "\n".join(["file,species", *(f"{row},Species of {name}" for row, name in zip(rows, names, strict=True))])
    found = labels(listing_of(tmp_path, files | {"c.csv": every}))
    assert found == {name: f"Species of {name.split('/')[0]}" for name in files}


@pytest.mark.parametrize("folder", ["Habitat", "Host plants", "Futterpflanzen", "Team"])
def test_folders_and_labels_of_habitats_plants_and_people_are_asked_about(tmp_path: Path, folder: str) -> None:
    files = tree("{s}/{n}.jpg") | tree(folder + "/{n}.jpg", ("x",))
    with pytest.raises(UserError, match=rf"{folder}/ \(photos: 6\) may be a class.*build\.negatives={folder}/\* takes"):
        listing_of(tmp_path, files)
    assert len(listing_of(tmp_path, files, negatives=f"{folder}/*").negatives) == 6
    flat = {f"images/{name.replace('/', '_')}": name.split("/")[0] for name in files}
    table = "\n".join(["file,species", *(f"{name},{label}" for name, label in flat.items())])
    with pytest.raises(UserError, match=rf"the label '{folder}' in l\.csv .* may be a class"):
        listing_of(tmp_path, dict.fromkeys(flat, b"x") | {"l.csv": table})


@pytest.mark.parametrize("folder", ["habitat", "labels", "Etiketten"])
def test_folders_of_habitats_and_labels_below_species_are_asked_about(tmp_path: Path, folder: str) -> None:
    files = tree("{s}/{n}.jpg") | tree("{s}/" + folder + "/x{n}.jpg")
    with pytest.raises(
        UserError, match=rf"{folder}/ lies below a species .*build\.ignore=\*/{folder}/\* leaves it out"
    ):
        listing_of(tmp_path, files)
    listing = listing_of(tmp_path, files, ignore=f"*/{folder}/*")
    assert labels(listing) == {name: name.split("/")[0] for name in tree("{s}/{n}.jpg")}


def test_subspecies_below_their_species_are_of_the_species(tmp_path: Path) -> None:
    species = ("Papilio machaon", "Aglais io", "Vanessa atalanta")
    files = {
        f"{s}/ssp. {e}{k}/{i}.jpg": b"x" for k, s in enumerate(species) for e in ("alba", "nigra") for i in range(4)
    }
    listing = listing_of(tmp_path, files)
    assert labels(listing) == {name: name.split("/")[0] for name in files}
    assert "ssp. alba0" in listing.notes[0] and "build.layout=path takes each as a class" in listing.notes[0]
    assert len(set(labels(listing_of(tmp_path, files, layout="path")).values())) == 6


@pytest.mark.parametrize("mask", ["{n}_mask.png", "{n}-segmentation.png", "{n}_thumb.jpg", "{n}.gt.png"])
def test_masks_beside_their_photos_are_no_photos(tmp_path: Path, mask: str) -> None:
    listing = listing_of(tmp_path, tree("{s}/{n}.jpg") | tree("{s}/" + mask))
    assert labels(listing) == {name: name.split("/")[0] for name in tree("{s}/{n}.jpg")}
    assert listing.ignored == {"mask or thumbnail beside its photo": 18}
    # Without a photo of that name it is one itself.
    assert len(labels(listing_of(tmp_path, tree("{s}/" + mask)))) == 18


def test_what_is_advised_fits_folders_with_brackets(tmp_path: Path) -> None:
    files = tree("set [1], a/{s}/{i}.jpg") | tree("set [1], a/Other 2/{n}.jpg")
    with pytest.raises(UserError, match=r"build\.ignore=.+ leaves it out") as caught:
        listing_of(tmp_path, files)
    advised = re.search(r"build\.ignore=(.+?) leaves it out", str(caught.value))
    assert advised
    assert set(labels(listing_of(tmp_path, files, ignore=advised[1])).values()) == set(SPECIES)


@pytest.mark.parametrize(
    "two",
    [
        ("Germany", "France"), ("California", "Texas"), ("Canon EOS 80D", "iPhone 12"), ("Summer 2020", "Summer 2021"),
        ("2019_season", "Yr2020"), ("2019", "2020-21"), ("Session 2020-06-01", "Session 2020-06-02"), ("Q1", "Q2"),
        ("Region North", "Region South"),
        ("drive-download-20200101T000000Z-001", "drive-download-20200101T000000Z-002"),
        ("observer_anna", "observer_ben"), ("GBIF", "iNaturalist"),
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


def test_what_programs_leave_beside_photos_is_no_species(tmp_path: Path) -> None:
    left = {"page.html": b"<html>", "page_files/logo.png": b"x", "~$labels.xlsx": b"x", "Monarch/ehthumbs.db": b"x"}
    listing = listing_of(tmp_path, tree("{s}/{n}.jpg") | left)
    assert set(labels(listing).values()) == set(SPECIES)
    assert listing.ignored == {"saved with a web page": 1, "hidden": 2, ".html": 1}
    # A folder of that name alone holds photos.
    assert "page_files" in labels(listing_of(tmp_path, tree("{s}/{n}.jpg") | {"page_files/0.png": b"x"})).values()


def test_no_layout_is_advised_where_it_does_not_help(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, tree("train/{n}.jpg", count=1) | tree("test/{s}/t{n}.jpg"))
    assert {reject.reason for reject in listing.rejects} == {"in train/, without a folder of a species"}


def test_rows_of_several_files_are_not_left_out_for_the_names_of_folders(tmp_path: Path) -> None:
    files: Files = {f"{place}/{i}.jpg": b"x" for place in ("Kaiserstuhl", "Rhoen") for i in range(6)}
    table = "photo,species\n" + "\n".join(f"{i}.jpg,{SPECIES[i % 3]}" for i in range(6))
    with pytest.raises(
        UserError, match=r"folders \(Kaiserstuhl, Rhoen\) or .*\(Monarch, Peacock, Red Admiral; 0\.jpg: .*layout=leaf"
    ):
        listing_of(tmp_path, files | {"finds.csv": table})
    listing = listing_of(tmp_path, files | {"finds.csv": table}, layout="leaf")
    assert set(labels(listing).values()) == {"Kaiserstuhl", "Rhoen"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("info.txt", "species: {s}\nsex: m\nplace: Bonn\n"),
        ("metadata.json", '{{"scientificName": "{s}", "sex": "m"}}'),
    ],
)
def test_folders_of_codes_with_a_file_of_facts_in_each_are_asked_about(tmp_path: Path, name: str, text: str) -> None:
    files: Files = {f"ZMB{n:03d}/{view}.jpg": b"x" for n in range(6) for view in ("dorsal", "ventral")}
    facts: Files = {f"ZMB{n:03d}/{name}": text.format(s=SPECIES[n % 3]) for n in range(6)}
    with pytest.raises(
        UserError, match=rf"species, or specimens whose species stands in the file {name} .*layout=leaf"
    ):
        listing_of(tmp_path, files | facts)
    assert len(set(labels(listing_of(tmp_path, files | facts, layout="leaf")).values())) == 6
    named: Files = {path.replace("ZMB", "Species no "): data for path, data in (files | facts).items()}
    assert len(set(labels(listing_of(tmp_path, named)).values())) == 6
