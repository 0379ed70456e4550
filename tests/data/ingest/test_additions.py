"""Folders whose names say more than a species, or none at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest.folders import additions
from tests.data.ingest.test_layouts import FLAT, SPECIES, labels, listing_of, rows, tree


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{s} (male)", "{s} (female)"), ("{s}_dorsal", "{s}_ventral"), ("{s} 2020-05-01", "{s} 2021-06-02"),
        ("{s} 2020", "{s} male 2021"), ("{s} ♂", "{s} ♀"), ("Female {s}", "{s}"), ("{s}, site 1", "{s}, site 2"),
        ("{s} larva", "{s}"), ("{s} (Ann)", "{s} (Ben)"), ("{s} Raupe", "{s} Falter"),
        ("{s} Oberseite", "{s} Unterseite"), ("{s}", "{s}_augmented"),
    ],
)  # fmt: skip
def test_folders_that_differ_by_additions_are_asked_about(tmp_path: Path, one: str, other: str) -> None:
    files = tree(one + "/{i}.jpg") | tree(other + "/x{i}.jpg")
    with pytest.raises(UserError, match=r"may be one species or several classes \(build\.layout=leaf takes each as a"):
        listing_of(tmp_path, files)
    chosen = labels(listing_of(tmp_path, files, layout="leaf"))
    assert chosen == {name: name.split("/")[0] for name in files}


@pytest.mark.parametrize(
    "species",
    [
        ("Spring Azure", "Summer Azure", "Eastern Comma", "Northern Brown"), ("Monarch male", "Monarch female"),
        ("Map", "Comma", "Wall", "Question Mark", "August Thorn", "California Sister"), ("A. io", "V. atalanta"),
        ("Pieris sp. 1", "Pieris sp. 2", "Morpho cf. helenor", "Pieris x napi", "Colias sp."),
    ],
)  # fmt: skip
def test_names_that_only_look_like_additions(tmp_path: Path, species: tuple[str, ...]) -> None:
    files = tree("{s}/{n}.jpg", species)
    assert set(labels(listing_of(tmp_path, files)).values()) == set(species)


def test_additions_are_left_out_of_a_name() -> None:
    assert additions.without_additions("Red Admiral_male (2020-05-01)") == "redadmiral"
    assert additions.without_additions("female") == "female"
    assert additions.without_additions("2020") == "2020"


@pytest.mark.parametrize(
    "name",
    [
        "Neuer Ordner",
        "Nouveau dossier (2)",
        "Sonstige",
        "inconnu",
        "otros",
        "257.clutter",
        "BACKGROUND_Google",
        "00_other",
    ],
)
def test_folders_set_aside_in_any_language_are_asked_about(tmp_path: Path, name: str) -> None:
    files = tree("{s}/{i}.jpg") | {f"{name}/1.jpg": b"x"}
    with pytest.raises(UserError, match=rf"{re.escape(name)}/ \(photos: 1\) may be a class .*build\.ignore="):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, ignore=f"{name}/*")).values()) == set(SPECIES)


def test_invisible_characters_make_no_other_species(tmp_path: Path) -> None:
    files = tree("{s}/{i}.jpg") | {"\ufeffMonarch/99.jpg": b"x", "Pea\u00adcock\u200b/98.jpg": b"x"}
    assert set(labels(listing_of(tmp_path, files)).values()) == set(SPECIES)


def test_the_album_of_a_year_is_no_species(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, tree("T/{s}/{i}.jpg") | {"T/Photos from 2020/9.jpg": b"x"})
    assert [reject.reason for reject in listing.rejects] == ["not in a folder of a species, as others are"]


def test_labels_of_a_table_that_differ_by_additions_are_asked_about(tmp_path: Path) -> None:
    files = FLAT | {"l.csv": rows("file,species", "{n}.jpg,{s} {i}").replace(" 0", " male").replace(" 1", " female")}
    files["l.csv"] = re.sub(r" \d$", "", str(files["l.csv"]), flags=re.MULTILINE)
    with pytest.raises(
        UserError, match=r"the labels Monarch, Monarch female, Monarch male in l\.csv .*=table takes each"
    ):
        listing_of(tmp_path, files)
    assert len(set(labels(listing_of(tmp_path, files, layout="table")).values())) == 9


def test_sets_in_two_languages_that_were_joined_are_asked_about(tmp_path: Path) -> None:
    latin = ("Danaus plexippus", "Vanessa atalanta", "Aglais io")
    files = tree("setA/{s}/{i}.jpg", latin) | tree("setB/{s}/{i}.jpg")
    with pytest.raises(UserError, match=r"setA/ has scientific .*build\.layout=leaf .*build\.ignore=setB/\* leaves"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, layout="leaf")).values()) == {*latin, *SPECIES}
    assert set(labels(listing_of(tmp_path, files, ignore="setB/*")).values()) == set(latin)


@pytest.mark.parametrize("folder", ["not sure", "Wrong", "unsicher", "other"])
def test_folders_of_doubt_below_a_species_are_asked_about(tmp_path: Path, folder: str) -> None:
    files = tree("set/{s}/{i}.jpg") | tree(f"set/{{s}}/{folder}/x{{i}}.jpg", ("Peacock",), 2)
    with pytest.raises(
        UserError, match=rf"{folder}/ lies below a species .*build\.ignore=\*/{folder}/\* leaves it out"
    ):
        listing_of(tmp_path, files)
    assert len(listing_of(tmp_path, files, ignore=f"*/{folder}/*").members) == 18
    assert labels(listing_of(tmp_path, files, layout="top"))[f"set/Peacock/{folder}/x0.jpg"] == "Peacock"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("habitat_{n}", "habitat_*.*"),
        ("{s} host plant ({n})", "* host plant (*).*"),
        ("IMG_{n}_Futterpflanze", "*_Futterpflanze.*"),
        ("{n}_not sure", "*_not sure.*"),
    ],
)
def test_photos_of_habitats_and_plants_are_asked_about(tmp_path: Path, name: str, pattern: str) -> None:
    files = tree("{s}/{n}.jpg") | tree("{s}/" + name + ".jpg")
    with pytest.raises(
        UserError, match=rf"18 photos .* a plant or a habitat.*build\.ignore={re.escape(pattern)} leaves"
    ):
        listing_of(tmp_path, files)
    assert labels(listing_of(tmp_path, files, ignore=pattern)) == {n: n.split("/")[0] for n in tree("{s}/{n}.jpg")}


@pytest.mark.parametrize("name", ["{s}_on_host_plant_{n}", "label_{n}"])
def test_butterflies_on_plants_and_species_of_such_names_stay(tmp_path: Path, name: str) -> None:
    files = tree("{s}/{n}.jpg") | tree("{s}/" + name + ".jpg", ("Label Moth", "Monarch"))
    if name == "label_{n}":
        files = {file: data for file, data in files.items() if not file.startswith("Monarch/label")}
    assert labels(listing_of(tmp_path, files)) == {file: file.split("/")[0] for file in files}


def test_all_doubts_about_folders_or_labels_are_one_question(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg") | tree("{s}/{n}_label.jpg") | tree("other/{n}.jpg")
    both = r"other/ \(photos: 18\) may be .*; also, 18 photos such as Monarch/0_label\.jpg may show a label"
    with pytest.raises(UserError, match=both):
        listing_of(tmp_path, files)
    assert len(listing_of(tmp_path, files, ignore="other/*,*_label.*").members) == 18
    flat = {f"images/{name.replace('/', '_')}": name.split("/")[0] for name in files}
    table = "\n".join(["file,species", *(f"{name},{label}" for name, label in flat.items())])
    with pytest.raises(UserError, match=r"the label 'other' .*; also, 18 photos such as .* may show a label"):
        listing_of(tmp_path, dict.fromkeys(flat, b"x") | {"l.csv": table})


@pytest.mark.parametrize("end", ["_label", "-Etikett", " labels"])
def test_photos_of_the_labels_of_specimens_are_asked_about(tmp_path: Path, end: str) -> None:
    files = tree("{s}/A{n}_dorsal.jpg") | tree("{s}/A{n}" + end + ".jpg") | tree("{s}/A{n}" + end[0] + "ventral.jpg")
    with pytest.raises(UserError, match=rf"18 photos such as Monarch/A0{end}.*build\.ignore=\*{end}\.\* leaves them"):
        listing_of(tmp_path, files)
    assert len(labels(listing_of(tmp_path, files, ignore=f"*{end}.*"))) == 36
    assert len(labels(listing_of(tmp_path, files, layout="leaf"))) == 54
    flat = {f"images/{name.partition('/')[2]}": b"x" for name in files}
    table = "\n".join(["file,species", *(f"{name.partition('/')[2]},{name.partition('/')[0]}" for name in files)])
    with pytest.raises(UserError, match=rf"build\.ignore=\*{end}\.\* leaves them out, build\.layout=table takes"):
        listing_of(tmp_path, flat | {"l.csv": table})
    assert len(labels(listing_of(tmp_path, flat | {"l.csv": table}, layout="table"))) == 54
