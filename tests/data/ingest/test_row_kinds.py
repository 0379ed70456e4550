"""Tables by their rows: several photos in one, labels in two columns, two headers, two tables of the same photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layouts import FLAT, Files, labels, listing_of, rows
from tests.data.ingest.test_layouts import SPECIES as ENGLISH

TRUTH = {name: ENGLISH[int(Path(name).stem) // 10] for name in FLAT}
PAIRS = {f"{10 * k + i}{view}.jpg": s for k, s in enumerate(ENGLISH) for i in range(6) for view in "ab"}
LATIN = ("Aglais io", "Hebomoia io", "Pieris rapae")
OF_LATIN = {name: LATIN[int(Path(name).stem) // 10] for name in FLAT}


def latin(head: str, row: str) -> str:
    found = (
        row.format(n=10 * k + i, s=s, g=s.split()[0], e=s.split()[1]) for k, s in enumerate(LATIN) for i in range(6)
    )
    return "\n".join([head, *found])


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (rows("occurrenceID,species,associatedMedia", "o{n},{s},https://a.org/{n}a.jpg | https://a.org/{n}b.jpg"), {}),
        (rows("species;photos", '{s};"{n}a.jpg; {n}b.jpg"'), {}),
        (rows("species,pictures", '{s},"{n}a.jpg,{n}b.jpg"'), {}),
        (rows("species,photo_1,photo_2", "{s},{n}a.jpg,{n}b.jpg"), {"file_column": "photo_1,photo_2"}),
    ],
)
def test_the_photos_of_a_row_have_its_label_and_stay_together(
    tmp_path: Path, table: str, options: dict[str, str]
) -> None:
    listing = listing_of(tmp_path, dict.fromkeys(PAIRS, b"x") | {"o.csv": table}, **options)
    assert labels(listing) == PAIRS
    assert len({str(listing.groups[name]) for name in PAIRS}) == len(PAIRS) // 2


@pytest.mark.parametrize(
    ("below", "shown"),
    [
        ("Total,18", "the last row is about no photo (Total, 18)"),
        ("Gesamt: 18 Fotos,", "the last row is about no photo (Gesamt: 18 Fotos)"),
        (",\n* all photos by us,\nSumme,3", "the last 2 rows are about no photo (* all photos by us)"),
    ],
)
def test_totals_and_notes_below_a_table_are_named(tmp_path: Path, below: str, shown: str) -> None:
    table = rows("image,species", "{n}.jpg,{s}")
    listing = listing_of(tmp_path, FLAT | {"l.csv": f"{table}\n{below}\n"})
    assert labels(listing) == TRUTH
    assert listing.notes == (f"l.csv: {shown}",)
    assert not listing.missing


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("folder,filename,species", "{o}/,IMG_{i}.jpg,{s}"),
        ("Taxon,Basename,Directory", "{s},IMG_{i},data\\{o}"),
        ("photo,site,label", "IMG_{i}.jpg,{o},{s}"),
    ],
)
def test_a_column_of_folders_beside_one_of_files(tmp_path: Path, head: str, row: str) -> None:
    # The same file names in each folder, and all species in each.
    truth = {f"data/{o}/IMG_{i}.jpg": ENGLISH[(o + i) % 3] for o in (5, 6) for i in range(6)}
    table = [row.format(o=Path(name).parts[1], i=Path(name).stem[-1], s=species) for name, species in truth.items()]
    files = dict.fromkeys(truth, b"x") | {"l.csv": "\n".join([head, *table])}
    assert labels(listing_of(tmp_path, files, layout="table")) == truth


def test_a_table_of_one_photo_per_class_is_no_list_of_classes(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 10 * k, "file_name": f"{10 * k}.jpg"} for k in range(3)],
        "annotations": [{"image_id": 10 * k, "category_id": k} for k in range(3)],
        "categories": [{"id": k, "name": name} for k, name in enumerate(ENGLISH)],
    }
    of_val = {f"val/{10 * k}.jpg": name for k, name in enumerate(ENGLISH)}
    of_train = {name: label for name, label in TRUTH.items() if not name.endswith("0.jpg")}
    table = [f"{Path(name).name},{label}" for name, label in of_train.items()]
    files = dict.fromkeys([*of_val, *of_train], b"x") | {
        "train.csv": "\n".join(["file,label", *table]),
        "instances_val.json": json.dumps(coco),
    }
    listing = listing_of(tmp_path, files)
    assert labels(listing) == of_train | of_val
    assert {member.name for member in listing.members if member.split == "val"} == of_val.keys()


@pytest.mark.parametrize(("head", "cells"), [("verified", "False,True"), ("good", "no,yes"), ("isDuplicate", "1,0")])
def test_columns_that_mark_rows_are_named(tmp_path: Path, head: str, cells: str) -> None:
    marked, other = cells.split(",")
    table = [
        f"{Path(name).name},{label},{marked if name.endswith('5.jpg') else other}" for name, label in TRUTH.items()
    ]
    listing = listing_of(tmp_path, FLAT | {"l.csv": "\n".join([f"file,species,{head}", *table])})
    assert labels(listing) == TRUTH
    said = [note.partition(",")[0] for note in listing.notes]
    assert said == [f"the column {head} of l.csv marks 3 of 18 rows as unwanted"]


def test_subtotals_and_headings_within_a_table_are_named(tmp_path: Path) -> None:
    cut = rows("", "{n}.jpg,{s}").strip().split("\n")
    blocks = ["\n".join([f"{s},", *cut[6 * k : 6 * k + 6], f"Subtotal {s},6"]) for k, s in enumerate(ENGLISH)]
    listing = listing_of(tmp_path, FLAT | {"l.csv": "image,species\n" + "\n".join(blocks)})
    assert labels(listing) == TRUTH
    assert listing.notes == ("l.csv: 6 rows are about no photo (Monarch)",)


def test_rows_of_missing_photos_are_no_footer(tmp_path: Path) -> None:
    below = "IMG_99,\nlost.jpg,\nimages/lost.png,Peacock\n"
    listing = listing_of(tmp_path, FLAT | {"l.csv": f"{rows('image,species', '{n}.jpg,{s}')}\n{below}"})
    assert labels(listing) == TRUTH
    assert [row.member for row in listing.missing] == ["IMG_99", "lost.jpg", "images/lost.png"]


@pytest.mark.parametrize("columns", ["photo_1,photo_2", "dorsal,ventral", "image,image_below"])
def test_columns_that_name_different_photos_are_asked_about(tmp_path: Path, columns: str) -> None:
    table = rows(f"species,{columns}", "{s},{n}a.jpg,{n}b.jpg")
    with pytest.raises(UserError, match=rf"not the same ones: .* build\.file_column={columns} takes all"):
        listing_of(tmp_path, dict.fromkeys(PAIRS, b"x") | {"o.csv": table})


@pytest.mark.parametrize(
    "table",
    [
        latin("Datei;Familie;Gattung;Art", "{n}.jpg;Nymphalidae;{g};{e}"),
        latin("fichier,genre,espèce", "{n}.jpg,{g},{e}"),
        latin("image,Genus name,Species", "{n}.jpg,{g},{e}"),
        latin("file,class,order,genus,specificEpithet,infraspecificEpithet", "{n}.jpg,Insecta,Lepidoptera,{g},{e},x"),
    ],
)
def test_a_genus_and_an_epithet_are_one_name(tmp_path: Path, table: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": table})) == OF_LATIN


@pytest.mark.parametrize("head", ["Datei;Art;Breite", "файл;вид;широта"])
def test_words_for_species_that_mean_kinds_too_are_read_with_scientific_names(tmp_path: Path, head: str) -> None:
    table = latin(head, "{n}.jpg;{s};47,3").replace("Hebomoia io", "Danaus plexippus")
    found = labels(listing_of(tmp_path, FLAT | {"l.csv": table}))
    assert found == {name: s.replace("Hebomoia io", "Danaus plexippus") for name, s in OF_LATIN.items()}


def test_two_columns_that_are_chosen_are_one_name(tmp_path: Path) -> None:
    files = FLAT | {"l.csv": latin("bild,oben,unten", "{n}.jpg,{g},{e}")}
    assert labels(listing_of(tmp_path, files, label_column="oben,unten")) == OF_LATIN
    with pytest.raises(UserError, match=r"build\.label_column=mitte: no table has this column"):
        listing_of(tmp_path, files, label_column="oben,mitte")


TABLE = rows("filename,label", "{n}.jpg,{s}")


@pytest.mark.parametrize(
    "table",
    [
        rows("photo,taxon,\nfile,family,species", "{n}.jpg,Nymphalidae,{s}"),
        "\ufeff" + TABLE.replace("\n10.jpg", "\n\ufefffilename,label\n10.jpg"),
        "\n".join(f'"{line}"' for line in TABLE.split("\n")),
        TABLE.replace("1.jpg,Monarch", "1.jpg,Mon\u00adarch\u200b"),
    ],
    ids=["two headers", "joined files", "quoted lines", "invisible characters"],
)
def test_tables_that_programs_garbled(tmp_path: Path, table: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": table})) == TRUTH


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"a.csv": rows("image,label", "{n}.jpg,{k}"), "b.csv": rows("image,label", "{n}.jpg,{s}")}, TRUTH),
        ({"a.csv": rows("image,species", "{n}.jpg,{s}"), "b.csv": rows("image,class", "{n}.jpg,{s}").lower()}, TRUTH),
        (
            {"a.csv": latin("image,species", "{n}.jpg,{s}"), "b.csv": latin("id,taxon", '{n},"{s} (L., 1758)"')},
            OF_LATIN,
        ),
    ],
    ids=["numbers", "other case", "authors"],
)
def test_tables_with_one_name_for_each_class_agree(tmp_path: Path, tables: Files, expected: dict[str, str]) -> None:
    listing = listing_of(tmp_path, FLAT | tables)
    assert labels(listing) == expected
    assert not listing.notes


def test_a_column_of_photos_per_species_is_asked_about(tmp_path: Path) -> None:
    table = "\n".join([",".join(ENGLISH), *(f"{i}.jpg,{10 + i}.jpg,{20 + i}.jpg" for i in range(6))])
    with pytest.raises(UserError, match=r"l\.csv names photos in each of its columns: if these are the species, write"):
        listing_of(tmp_path, FLAT | {"l.csv": table})


def test_tables_with_two_names_for_each_class_are_asked_about(tmp_path: Path) -> None:
    files = FLAT | {"a.csv": TABLE, "b.csv": latin("filename,species", "{n}.jpg,{s}")}
    with pytest.raises(
        UserError,
        match=r"a\.csv and b\.csv name the same classes differently: .* build\.table=a\.csv or build\.table=b",
    ):
        listing_of(tmp_path, files)
    assert labels(listing_of(tmp_path, files, table="a.csv")) == TRUTH
    assert labels(listing_of(tmp_path, files, table="b.csv")) == OF_LATIN


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (FLAT | {"l.csv": rows("image,label", "{n}.jpg,Lepidoptera|{s}")},
         r"l\.csv: several classes in each row of label, like 'Lepidoptera\|Monarch'"),
        (FLAT | {"l.csv": rows("imgName,favorite,hidden,views", "{n}.jpg,no,no,1")}, r"which is \(favorite, hidden"),
        (FLAT | {"species list.pdf": b"%PDF"}, r"species list\.pdf: a PDF file is not read: save it as CSV"),
        ({f"Photo (File responses)/{n}": b"x" for n in FLAT} | {"a.csv": TABLE.replace(".jpg", "?")},
         r"only one species .* tables not used: a\.csv \(.*name folders after the species, or add a labels"),
    ],
)  # fmt: skip
def test_tables_that_are_there_and_not_used_are_named(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(UserError, match=message):
        manifest.check_species(listing := listing_of(tmp_path, files), listing.members)


def test_a_chosen_column_may_name_folders(tmp_path: Path) -> None:
    truth = {f"A-{k}{i}/{view}.jpg": s for k, s in enumerate(ENGLISH) for i in range(4) for view in "ab"}
    table = rows("which,species", "A-{k}{i},{s}", count=4)
    listing = listing_of(tmp_path, dict.fromkeys(truth, b"x") | {"l.csv": table}, file_column="which")
    assert labels(listing) == truth


@pytest.mark.parametrize("name", ["{s}", "01 {s}"])
def test_species_of_test_that_are_none_of_train_are_asked_about(tmp_path: Path, name: str) -> None:
    files = {f"train/{s}/{i}.jpg": b"x" for s in ENGLISH for i in range(4)}
    files |= {
        f"test/{name.format(s=s)}/t{i}.jpg": b"x" for s in (LATIN if name == "{s}" else ENGLISH) for i in range(2)
    }
    with pytest.raises(UserError, match=r"no species of the test split is in train, .*build\.split_column=none makes"):
        listing_of(tmp_path, files)
    assert {member.split for member in listing_of(tmp_path, files, split_column="none").members} == {None}
    assert BuildConfig().split_column == ""


def test_tables_in_two_languages_are_asked_about(tmp_path: Path) -> None:
    """Each is of photos of its own, so no photo shows which names mean the same."""
    half = list(FLAT)[::2]
    latin = "\n".join(["filename,species", *(f"{photo},{OF_LATIN[photo]}" for photo in half)])
    english = "\n".join(["filename,species", *(f"{photo},{TRUTH[photo]}" for photo in FLAT if photo not in half)])
    files = FLAT | {"a.csv": latin, "b.csv": english}
    with pytest.raises(UserError, match=r"a\.csv has scientific names, such as 'Aglais io', and b\.csv has others"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, table="a.csv,b.csv")).values()) == {*LATIN, *ENGLISH}
    assert set(labels(listing_of(tmp_path, files, table="a.csv")).values()) == set(LATIN)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("l.xml", "<set>" + latin("", '<image file="{n}.jpg" species="{s}"/>') + "</set>"),
        ("l.xml", "<r>" + latin("", "<o><photo>{n}.jpg</photo><taxon>{s}</taxon></o>") + "</r>"),
        ("l.geojson", '{"features": [' + ",".join(
            latin("", '{{"properties": {{"photo": "{n}.jpg", "species": "{s}"}}}}').split("\n")[1:]) + "]}"),
    ],
)  # fmt: skip
def test_lists_of_elements_and_features(tmp_path: Path, name: str, table: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {name: table})) == OF_LATIN


def test_tables_named_after_species(tmp_path: Path) -> None:
    def lists(names: tuple[str, ...]) -> Files:
        return FLAT | {
            f"lists/{name}.csv": "file,date\n" + "\n".join(f"{10 * k + i}.jpg,2020-05-0{i + 1}" for i in range(6))
            for k, name in enumerate(names)
        }

    latin_names = ("Aglais io", "Vanessa atalanta", "Pieris rapae")
    truth = {name: latin_names[LATIN.index(species)] for name, species in OF_LATIN.items()}
    assert labels(listing_of(tmp_path, lists(latin_names))) == truth
    # Other names may be those of observers.
    with pytest.raises(
        UserError, match=r"names of the tables \(Ann, Ben, Cleo\) are the species, build\.label_column=tab"
    ):
        listing_of(tmp_path, lists(("Ann", "Ben", "Cleo")))
    chosen = labels(listing_of(tmp_path, lists(("Ann", "Ben", "Cleo")), label_column="table_name"))
    assert chosen == {name: ("Ann", "Ben", "Cleo")[LATIN.index(species)] for name, species in OF_LATIN.items()}
