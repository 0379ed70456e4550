"""Tables by their kinds: without a header, of specimens, in other words, and those that only look like labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layouts import FLAT, SPECIES, Files, labels, listing_of, rows, tree

TRUTH = {name: SPECIES[int(Path(name).stem) // 10] for name in FLAT}
PAIRS = [(Path(name).name, species) for name, species in TRUTH.items()]
ONE_HOT = {species: ["1" if other == species else "0" for other in SPECIES] for species in SPECIES}


def lines(row: str) -> str:
    return rows("", row).strip()


@pytest.mark.parametrize(
    ("name", "table", "split"),
    [
        ("labels.csv", lines("{n}.jpg,{s}"), None),
        ("labels.csv", lines("{n},images/{n}.jpg,{s}"), None),
        ("list.txt", lines("{n}.jpg\t{s}"), None),
        ("train.txt", lines("images/{n}.jpg,{s}"), "train"),
        ("import.csv", lines("TRAIN,gs://bucket/set/images/{n}.jpg,{s}"), "train"),
    ],
)
def test_a_table_without_a_header_that_is_named_after_labels(
    tmp_path: Path, name: str, table: str, split: str | None
) -> None:
    listing = listing_of(tmp_path, FLAT | {name: table})
    assert labels(listing) == TRUTH
    assert {member.split for member in listing.members} == {split}


def test_numbers_without_a_header(tmp_path: Path) -> None:
    files = FLAT | {"train.txt": lines("images/{n}.jpg {k}"), "classes.txt": "\n".join(SPECIES)}
    assert labels(listing_of(tmp_path, files)) == TRUTH


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("o.csv", "file," + ",".join(SPECIES) + "\n" + "\n".join(
            f"{file}," + ",".join(ONE_HOT[s]).replace("1", "yes").replace("0", "no") for file, s in PAIRS)),
        ("o.csv", "file," + ",".join(SPECIES) + "\n" + "\n".join(
            f"{file}," + ",".join(ONE_HOT[s]).replace("1", "x").replace("0", "") for file, s in PAIRS)),
        ("o.csv", "file,is_" + ",is_".join(SPECIES) + "\n" + "\n".join(
            f"{file}," + ",".join(ONE_HOT[s]) for file, s in PAIRS)),
        ("l.csv", rows("filename,species,subspecies", "{n}.jpg,{s},{s} {i}")),
        ("l.csv", rows("filename,species,x,y", "{n}.jpg,{s},{i},{i}")),
        ("via.csv", rows("filename,file_size,file_attributes,region_count", '{n}.jpg,9,"{{""species"":""{s}""}}",0')),
        ("l.json", json.dumps({"filename": [file for file, _ in PAIRS], "label": [s for _, s in PAIRS]})),
        ("l.json", json.dumps({"columns": ["filename", "label"], "index": [0], "data": PAIRS})),
    ],
)  # fmt: skip
def test_tables_in_other_words(tmp_path: Path, name: str, table: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {name: table})) == TRUTH


@pytest.mark.parametrize(
    ("pattern", "name", "table"),
    [
        ("specimens/A{n}/{view}.jpg", "specimens.csv", "specimen_id,species"),
        ("A{n}/{view}.jpg", "labels.csv", "folder,species"),
        ("set/A{n}/img/{view}.jpg", "set/observations.csv", "id,scientific_name"),
    ],
)
def test_a_table_of_specimens_labels_the_photos_in_their_folders(
    tmp_path: Path, pattern: str, name: str, table: str
) -> None:
    truth = {
        pattern.format(n=10 * k + i, view=view): s
        for k, s in enumerate(SPECIES)
        for i in range(4)
        for view in ("dorsal", "ventral")
    }
    listing = listing_of(tmp_path, dict.fromkeys(truth, b"x") | {name: rows(table, "A{n},{s}", count=4)})
    assert labels(listing) == truth
    # The photos of a specimen stay together.
    assert len({str(listing.groups[photo]) for photo in truth}) == 12


def test_folders_of_observations_and_a_table_of_photos(tmp_path: Path) -> None:
    files = tree("{n}/medium.jpg")
    table = rows("id,image_url,scientific_name", "9{n},https://a.org/photos/{n}/medium.jpg,{s}")
    listing = listing_of(tmp_path, files | {"observations.csv": table})
    assert labels(listing) == {name: SPECIES[int(name.split("/")[0]) // 10] for name in files}


@pytest.mark.parametrize("name", ["tables/site{o}.csv", "records_site {o}_2024.csv"])
def test_a_table_named_after_a_folder_is_of_its_photos(tmp_path: Path, name: str) -> None:
    # The same file names in each folder, and all species in each.
    truth = {f"photos/site{o}/IMG_{i}.jpg": SPECIES[(o + i) % 3] for o in (1, 2) for i in range(6)}
    tables: Files = {
        name.format(o=o): "\n".join(
            ["photo,species", *(f"{Path(p).name},{s}" for p, s in truth.items() if f"site{o}/" in p)]
        )
        for o in (1, 2)
    }
    assert labels(listing_of(tmp_path, dict.fromkeys(truth, b"x") | tables)) == truth


def test_lists_of_numbered_photos_give_splits(tmp_path: Path) -> None:
    files = list(tree("{s}/{n}.jpg"))
    stems = [Path(file).stem for file in files]
    lists: Files = {"train.txt": "\n".join(stems[::2]), "test.txt": "\n".join(stems[1::2])}
    listing = listing_of(tmp_path, dict.fromkeys(files, b"x") | lists)
    assert {m.name: m.split for m in listing.members} == {
        name: "test" if number % 2 else "train" for number, name in enumerate(files)
    }


def test_a_table_of_boxes_does_not_excuse_photos_from_labels(tmp_path: Path) -> None:
    tables: Files = {
        "labels.csv": rows("filename,label", "{n}.jpg,{s}", count=3),
        "boxes.csv": rows("file,left,top", "{n}.jpg,1,2"),
    }
    listing = listing_of(tmp_path, FLAT | tables)
    assert [reject.reason for reject in listing.rejects] == ["no row in the CSV"] * 9


@pytest.mark.parametrize(
    "table", ["id,class,count\n0,Monarch,6\n1,Peacock,6\n2,Red Admiral,6", "class,size\n0,5 photos\n1,6 photos"]
)
def test_tables_about_classes_are_about_no_photos(tmp_path: Path, table: str) -> None:
    photos = tree("{s}/{n}.jpg")
    assert labels(listing_of(tmp_path, photos | {"classes.csv": table})) == {n: n.split("/")[0] for n in photos}


@pytest.mark.parametrize("head", ["type", "purpose", "mode", "group"])
def test_a_column_of_train_and_test_is_a_split_by_any_name(tmp_path: Path, head: str) -> None:
    table = rows(f"filename,label,{head}", "{n}.jpg,{s},train", count=4)
    table += "".join(f"\n{10 * k + i}.jpg,{s},test" for k, s in enumerate(SPECIES) for i in (4, 5))
    listing = listing_of(tmp_path, FLAT | {"labels.csv": table})
    assert [member.split for member in listing.members].count("test") == 6
    assert not listing.groups


@pytest.mark.parametrize(
    ("photo", "cell"),
    [
        ("{n:05}.jpg", "{n}"),
        ("{n:05}.jpg", "{n}.jpg"),
        ("{n}.jpeg", "{n}.jpg"),
        ("{n}.JPG", "{n}.jpeg"),
        ("img_{n}.jpg", "IMG {n}.jpg"),
        ("{n:05}.jpg", "'{n:05}"),
    ],
)
def test_rows_that_lost_zeros_or_spell_jpeg_otherwise(tmp_path: Path, photo: str, cell: str) -> None:
    photos = tree("images/" + photo)
    listing = listing_of(tmp_path, photos | {"labels.csv": rows("image,label", cell + ",{s}")})
    assert labels(listing) == {name: SPECIES[int(Path(name).stem.removeprefix("img_")) // 10] for name in photos}


@pytest.mark.parametrize(
    ("head", "cells", "splits"),
    [
        ("train", ("1", "1", "0"), ("train", "train", "test")),
        ("in_train", ("yes", "yes", "no"), ("train", "train", "test")),
        ("used for testing", ("FALSE", "FALSE", "TRUE"), ("train", "train", "test")),
        ("is_validation", ("N", "N", "Y"), (None, None, "val")),
        ("val", ("0.0", "0.0", "1.0"), (None, None, "val")),
        ("holdout", ("", "", "x"), (None, None, "test")),
        ("train,val,test", ("1,0,0", "0,1,0", "0,0,1"), ("train", "val", "test")),
        ("set", ("1", "2", "3"), (None, None, None)),
    ],
)
def test_columns_that_say_yes_or_no_about_splits(
    tmp_path: Path, head: str, cells: tuple[str, ...], splits: tuple[str | None, ...]
) -> None:
    table = [f"{Path(name).name},{SPECIES[k]},{cells[i % 3]}" for k, i, name in numbered()]
    listing = listing_of(tmp_path, FLAT | {"l.csv": "\n".join([f"file,species,{head}", *table])})
    found = {member.name: member.split for member in listing.members}
    assert found == {name: splits[i % 3] for _, i, name in numbered()}
    assert listing.split_names == ((f"{head.replace(',', ', ')} in l.csv",) if any(splits) else ())
    assert any(splits) or listing.notes == ("the column set of l.csv (1, 2, 3) names no splits, and is not used",)


def test_photos_of_two_splits_by_columns_of_yes_and_no_are_refused(tmp_path: Path) -> None:
    table = [f"{Path(name).name},{SPECIES[k]},1,{int(i == 0)}" for k, i, name in numbered()]
    table[-1] = table[-1].removesuffix(",1,0") + ",0,1"
    listing = listing_of(tmp_path, FLAT | {"l.csv": "\n".join(["file,species,train,test", *table])})
    assert {reject.reason for reject in listing.rejects} == {"unknown split 'test and train' in l.csv"}


def numbered() -> list[tuple[int, int, str]]:
    """Returns the species, the number in it and the path of each photo."""
    return [(k, i, f"images/{10 * k + i}.jpg") for k in range(3) for i in range(6)]


def test_rows_that_folders_make_needless_are_named(tmp_path: Path) -> None:
    # A label that is the name of a folder says which of the files is meant; another one does not.
    agreeing = listing_of(tmp_path, tree("{s}/{i}.jpg") | {"labels.csv": rows("filename,label", "{i}.jpg,{s}")})
    assert agreeing.source == "labels.csv (filename, label) and folders, which agree"
    listing = listing_of(tmp_path, tree("{s}/{i}.jpg") | {"labels.csv": rows("filename,label", "{i}.jpg,the {s}")})
    assert "rows of tables are not used: 18 like 0.jpg, labels.csv: several files of that name" in listing.notes


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("photos.csv", rows("filename,name", "{n}.jpg,Ann {k}"), r"build\.label_column says which is \(name\)"),
        ("ratings.txt", lines("{n}.jpg {k}"), r"build\.label_column says which is \(column 2\)"),
        ("labels.csv", rows("filename,label", "{n}.jpg,{s}"), r"18 rows like 0\.jpg: labels\.csv: several files"),
    ],
)  # fmt: skip
def test_what_may_be_something_else_is_refused(tmp_path: Path, name: str, table: str, message: str) -> None:
    files = FLAT if name != "labels.csv" else tree("a/{n}.jpg") | tree("test/{n}.jpg") | tree("train/{n}.jpg")
    with pytest.raises(UserError, match=message):
        manifest.check_species(listing := listing_of(tmp_path, files | {name: table}), listing.members)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("label,path", "{s},images/{n}.jpg"), ("id,label,path", "{n},{s},/kaggle/input/x/images/{n}.jpg"),
        ("label;file", "{s};C:\\x\\images\\{n}.jpg"),
        ("annotation_id,choice,image", "{n},{s},/data/upload/1/ab12cd34-{n}.jpg"),
        ("arquivo,espécie", "{n}.jpg,{s}"), ("plik,gatunek", "{n}.jpg,{s}"),
        ("bestandsnaam,soort", "{n}.jpg,{s}"), ("image,label,label_text", "{n}.jpg,{k},{s}"),
        ("image,label,wing,who", "{n}.jpg,{k},{s},Ann {i}"),
        ("Datei (JPG);Artname (dt.);Artname (lat.)", "{n}.jpg;{s};{s} L"),
        ("file,label (predicted),label", "{n}.jpg,x{i},{s}"),
        ("文件名,中文名,拉丁名", "{n}.jpg,{s},{s} L"), ("파일명,라벨", "{n}.jpg,{s}"),
        ("Filnamn;Artnamn;Vetenskapligt namn", "{n}.jpg;{s};{s}"), ("файл,название вида", "{n}.jpg,{s}"),
    ],
)  # fmt: skip
def test_columns_in_any_order_and_language(tmp_path: Path, head: str, row: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": rows(head, row)})) == TRUTH


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows("file,label,verified_label", "{n}.jpg,{s},{s}").replace("Monarch,Monarch", "Monarch,Peacock", 1),
         r"the label may be label or verified_label in l\.csv, which differ in 1 of 18 rows \(Monarch, Peacock\)"),
        (rows("file,label,label_corrected", "{n}.jpg,{s},").replace("0.jpg,Monarch,", "0.jpg,Monarch,Peacock", 1),
         r"differ in 1 of 1 rows .*build\.label_column=label takes the first; to take both, write label_corrected"),
        (rows("file,label", "{n}.jpg,").replace("0.jpg,", "0.jpg,Monarch", 1).replace("10.jpg,", "10.jpg,Peacock"),
         r"16 like images/1\.jpg: empty label in l\.csv; if a label holds for the rows below it too, write it there"),
        (rows("file,label", '"{n}.jpg","{s}"')[:-4], r"cannot read l\.csv: row 19 opens a quoted cell that never ends"),
        (rows("file,label", "{n}.jpg,{s}") + "\n" + lines("{n}.jpg,Moth"),
         r"18 photos like images/0\.jpg: two different rows in l\.csv"),
        (rows("Bild;Art;Aufteilung", "{n}.jpg;{s};Training").replace("Training", "Test", 3),
         r"build\.label_column says which is \(Art\)"),
    ],
)  # fmt: skip
def test_doubtful_labels_are_refused_by_their_cause(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        manifest.check_rejects(
            (listing := listing_of(tmp_path, FLAT | {"l.csv": table})).rejects, listing, BuildConfig()
        )


def test_the_column_that_is_chosen_outweighs_another(tmp_path: Path) -> None:
    table = rows("file,label,verified_label,predicted", "{n}.jpg,{s},{s},{s}")
    doubtful = table.replace("0.jpg,Monarch,Monarch", "0.jpg,Monarch,Peacock", 1)
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": doubtful}, label_column="label")) == TRUTH
    guessed = table.replace("Monarch,Monarch,Monarch", "Monarch,Monarch,Peacock", 1)
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": guessed})) == TRUTH


def test_backslashes_part_folders_where_nothing_else_does(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, {name.replace("/", "\\"): b"x" for name in tree("set/{s}/{n}.jpg")})
    assert labels(listing) == {name: name.split("/")[1] for name in tree("set/{s}/{n}.jpg")}


def test_a_file_of_photos_in_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.yaml: a YAML file with photos is not read: save it as CSV"):
        listing_of(tmp_path, FLAT | {"labels.yaml": lines("{n}.jpg: {s}")})


def test_lists_of_paths_with_spaces_give_splits(tmp_path: Path) -> None:
    names = sorted(tree("{s}/{n}.jpg", ("Red Admiral", "Small White")))
    files = dict.fromkeys(names, b"x") | {
        "train.txt": "\n".join(f"{name} {name[0] == 'S':d}" for name in names[::2]),
        "test.txt": "\n".join(f"{name} {name[0] == 'S':d}" for name in names[1::2]),
    }
    listing = listing_of(tmp_path, files)
    assert [member.split for member in listing.members] == ["train", "test"] * (len(names) // 2)
    assert labels(listing) == {name: name.split("/")[0] for name in names}


def test_texts_that_excel_would_make_numbers(tmp_path: Path) -> None:
    files = tree("{n:05d}.jpg")
    table = "id,species\n" + "\n".join(f'"=""{Path(f).stem}""",{SPECIES[int(Path(f).stem) // 10]}' for f in files)
    assert labels(listing_of(tmp_path, files | {"l.csv": table})) == {
        f: SPECIES[int(Path(f).stem) // 10] for f in files
    }


@pytest.mark.parametrize("head", ["Fájlnév;Faj", "Soubor;Druh", "Tên tệp;Loài", "文件;种", "Dosya;Tür", "Nama;Spesies"])
def test_columns_of_species_in_other_languages(tmp_path: Path, head: str) -> None:
    latin = dict(zip(SPECIES, ("Danaus plexippus", "Aglais io", "Vanessa atalanta"), strict=True))
    table = "\n".join([f"{head};x", *(f"{name};{latin[species]};{n}" for n, (name, species) in enumerate(PAIRS))])
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": table})) == {n: latin[s] for n, s in TRUTH.items()}
