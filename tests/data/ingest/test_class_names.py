"""Codes as labels: numbers, WordNet ids and abbreviations get the names that a file gives, or are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from tests.data.ingest.test_layouts import FLAT, SPECIES, Files, labels, listing_of, rows, tree

WNIDS = ("n02279972", "n02281406", "n02276258")
CODES = ("DANPLE", "AGLIO", "VANATA")
GARDENS = ("Garden A", "Garden B", "Garden C")
MANY = "".join(f"n0{number}\tthing {number}, another {number}\n" for number in range(1000000, 1000050))


def pairs(line: str, codes: tuple[str, ...] = ("0", "1", "2"), cut: str = "\n") -> str:
    return cut.join(line.format(c=code, s=name) for code, name in zip(codes, SPECIES, strict=True))


def named(files: Files, codes: tuple[str, ...]) -> dict[str, str]:
    """Returns the species of photos by the folder on their path that is a code."""
    return {name: SPECIES[codes.index(next(part for part in name.split("/") if part in codes))] for name in files}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("words.txt", MANY + pairs("{c}\t{s}", WNIDS)),
        ("LOC_synset_mapping.txt", pairs("{c} {s}", WNIDS)),
        ("classes.txt", pairs("{c} {s}", WNIDS)),
        ("a.csv", "wnid,name\n" + pairs("{c},{s}", WNIDS)),
        ("a.csv", pairs("{c},{s}", WNIDS)),
        ("Labels.json", "{" + pairs('"{c}": "{s}"', WNIDS, ",") + "}"),
        ("a.json", "{" + pairs('"{s}": "{c}"', WNIDS, ",") + "}"),
        ("class_index.json", json.dumps(dict(enumerate(zip(WNIDS, SPECIES, strict=True))))),
        ("README.md", "# Set\n\nFolders:\n\n" + pairs("- `{c}`: {s}", WNIDS) + "\n\nTaken in 2020."),
    ],
)
def test_wordnet_ids_get_their_names(tmp_path: Path, file: str, text: str) -> None:
    for pattern in ("{s}/{s}_{n}.JPEG", "ILSVRC/train/{s}/{n}.JPEG"):
        files = tree(pattern, WNIDS)
        folder = pattern.split("/")[0]
        inner = f"{folder}/{file}" if folder == "ILSVRC" else file
        if folder == "ILSVRC" and file == "README.md":
            # Of these alone, ids below a folder may be specimens.
            continue
        assert labels(listing_of(tmp_path, files | {inner: text})) == named(files, WNIDS)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.txt", "My garden.\n\nClasses:\n" + pairs("{c}: {s}") + "\n\nAll of 2020."),
        ("README.md", "| folder | species |\n| --- | --- |\n" + pairs("| {c} | {s} |")),
        ("README", pairs("{c} = {s}")),
        ("README.md", "---\ndataset_info:\n  class_label:\n    names:\n" + pairs("      '{c}': {s}") + "\n---\n"),
        ("labels_map.txt", pairs("{s}: {c}")),
        ("class_dict.csv", "class_index,class\n" + pairs("{c},{s}")),
        ("species_codes.csv", "code,species\n" + pairs("{c},{s}")),
        ("label_names.csv", "\n".join(SPECIES)),
        ("classes.txt", ", ".join(SPECIES)),
        ("classes.txt", str(list(SPECIES))),
        ("classes.txt", str(dict(enumerate(SPECIES)))),
        ("classes.txt", pairs('"{c}": "{s}",')),
        ("classes.txt", "class\n" + ",\n".join(SPECIES)),
        ("meta.json", json.dumps({"classes": SPECIES})),
        ("dataset_infos.json", json.dumps({"default": {"features": {"label": {"names": SPECIES}}}})),
    ],
)
def test_numbers_get_their_names(tmp_path: Path, file: str, text: str) -> None:
    folders = tree("{k}/{n}.jpg")
    listing = listing_of(tmp_path, folders | {file: text})
    assert labels(listing) == named(folders, ("0", "1", "2"))
    assert listing.source == f"folders, named in {file}"
    for number in ("{k}", "{k}.0"):
        table = rows("filename,label", "{n}.jpg," + number)
        listing = listing_of(tmp_path, FLAT | {"data.csv": table, file: text})
        assert labels(listing) == {name: SPECIES[int(Path(name).stem) // 10] for name in FLAT}
        assert listing.source == f"data.csv (filename, label, named in {file})"


@pytest.mark.parametrize(
    ("codes", "file", "text"),
    [
        (("001", "002", "003"), "README.txt", pairs("{c} {s}", ("001", "002", "003"))),
        (("001", "002", "003"), "classes.txt", pairs("{c}. {s}", ("001", "002", "003"))),
        (("1", "2", "3"), "README.md", "# Species\n" + pairs("{c}. {s}", ("1", "2", "3"))),
        (("class_0", "class_1", "class_2"), "classes.txt", "\n".join(SPECIES)),
        (("SP1", "SP2", "SP3"), "legend.txt", pairs("{c}: {s}", ("SP1", "SP2", "SP3"))),
        (CODES, "species.csv", "code,species\n" + pairs("{c},{s}", CODES)),
        (CODES, "legend.txt", pairs("{c} = {s}", CODES)),
        (("A", "B", "C"), "legend.txt", pairs("{c} = {s}", ("A", "B", "C"))),
        (GARDENS, "f.csv", "folder,species\n" + pairs("{c},{s}", GARDENS)),
    ],
)  # fmt: skip
def test_other_codes_get_their_names(tmp_path: Path, codes: tuple[str, ...], file: str, text: str) -> None:
    files = tree("{s}/{n}.jpg", codes)
    assert labels(listing_of(tmp_path, files | {file: text})) == named(files, codes)


def test_numbers_of_ids_are_followed_to_the_names(tmp_path: Path) -> None:
    photos = tree("{k}/{n}.jpg")
    lists: Files = {"classes.txt": "\n".join(f"{k} {wnid}" for k, wnid in enumerate(WNIDS))}
    lists["words.txt"] = pairs("{c}\t{s}", WNIDS)
    assert labels(listing_of(tmp_path, photos | lists)) == named(photos, ("0", "1", "2"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": "# Use\n1. Unpack\n2. Train\n3. Enjoy"},
         r"README\.md may name the classes \(1 Unpack, 2 Train, 3 Enjoy\), or mean .*build\.ignore=README\.md"),
        ({"README.md": "Species\n" + pairs("{c}: {s}", ("1", "2", "3")) + "\nSold species:\n"
          + pairs("{c}: old {s}", ("1", "2", "3"))}, r"README\.md may name the classes"),
        ({"classes.txt": "1 Monarch\n2 Peacock"}, r"labels are the numbers 1 to 3, but classes\.txt does not name 3"),
        ({"classes.txt": "\n".join(SPECIES), "names.txt": "Monarch\nRed Admiral\nPeacock"},
         r"classes\.txt and names\.txt name the classes differently"),
    ],
)  # fmt: skip
def test_lists_that_may_mean_something_else_are_refused(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listing_of(tmp_path, tree("{s}/{n}.jpg", ("1", "2", "3")) | files)


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "How to use it:\n1. Unpack the zip.\n2. Train a model.\n3. Write to us."},
        {"README.md": "In 2020: 300 photos\nIn 2021: 400 photos"},
        {"wnids.txt": "1\n2\n3"},
        {"weights.csv": "id,weight\n1,2g\n2,3g\n3,4g"},
    ],
)
def test_what_names_no_classes_leaves_the_numbers(tmp_path: Path, files: Files) -> None:
    photos = tree("{s}/{n}.jpg", ("1", "2", "3"))
    listing = listing_of(tmp_path, photos | files)
    assert labels(listing) == {name: name.split("/")[0] for name in photos}
    assert "labels are numbers: a file classes.txt with one name per line would name them" in listing.notes


def test_names_of_as_many_words_each_are_whole(tmp_path: Path) -> None:
    codes, names = ("n01", "n02", "n03"), ("Sp 3", "Red Admiral", "Painted Lady")
    listed = "\n".join(f"{code} {name}" for code, name in zip(codes, names, strict=True))
    listing = listing_of(tmp_path, tree("{s}/{n}.jpg", codes) | {"classes.txt": listed})
    assert set(labels(listing).values()) == set(names)


def test_names_in_capitals_are_no_codes(tmp_path: Path) -> None:
    photos = tree("{s}/{n}.jpg", ("MONARCH", "PEACOCK", "COMMA"))
    assert not listing_of(tmp_path, photos).notes
    with pytest.raises(UserError, match="folders and tables give different labels"):
        listing_of(
            tmp_path, photos | {"l.csv": "filename,label\n0.jpg,Milkweed\n10.jpg,Brush-footed\n20.jpg,Brush-footed"}
        )


def test_names_stay_beside_lists_of_other_names(tmp_path: Path) -> None:
    photos = tree("{s}/{n}.jpg")
    latin = "common_name,scientific_name\nMonarch,Danaus plexippus\nPeacock,Aglais io\nRed Admiral,Vanessa atalanta"
    files: Files = {"species.csv": latin, "classes.txt": "0 Peacock\n1 Red Admiral\n2 Monarch"}
    assert labels(listing_of(tmp_path, photos | files)) == {name: name.split("/")[0] for name in photos}
