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
    with pytest.raises(UserError, match=r"build\.label_column=mitte: no table of the zip has this column"):
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


@pytest.mark.parametrize("cells", ["2020-05-0{k}", "0{k}.05.2020", "{k}.5", "-0,{k}5", "1.2e-{k}"])
def test_dates_and_measures_are_no_labels(tmp_path: Path, cells: str) -> None:
    table = rows("file;label", "{n}.jpg;" + cells.replace("{k}", "{i}").replace("{i}", "{k}"))
    table = table.replace("00.05", "09.05").replace("-00", "-09")
    with pytest.raises(UserError, match=r"build\.label_column says which is \(label\)"):
        listing_of(tmp_path, FLAT | {"l.csv": table})
    assert len(set(labels(listing_of(tmp_path, FLAT | {"l.csv": table}, label_column="label")).values())) == 3


@pytest.mark.parametrize(
    ("column", "there", "gone", "label"),
    [
        ("presence", "1", "0", "absent"), ("occurrenceStatus", "PRESENT", "ABSENT", "absent"),
        ("dwc:individualCount", "3", "0", "absent"), ("exclude", "False", "True", "excluded"),
        ("use", "yes", "", "excluded"), ("DeleteFlag", "false", "true", "excluded"),
    ],
)  # fmt: skip
def test_rows_that_are_absent_or_excluded_are_asked_about(
    tmp_path: Path, column: str, there: str, gone: str, label: str
) -> None:
    left_out = {name for n, name in enumerate(FLAT) if n % 6 > 2}
    cells = [f"{Path(n).name},{s},{gone if n in left_out else there}" for n, s in OF_LATIN.items()]
    files = FLAT | {"o.csv": "\n".join([f"file,species,{column}", *cells])}
    with pytest.raises(UserError, match=rf"'{label}' .*{label} by {column}.* build\.ignore=label:{label} leaves"):
        listing_of(tmp_path, files)
    left = {name: species for name, species in OF_LATIN.items() if name not in left_out}
    assert labels(listing_of(tmp_path, files, ignore=f"label:{label}")) == left
    listing = listing_of(tmp_path, files, negatives=f"label:{label[:3]}*")
    assert labels(listing) == left
    assert {member.name for member in listing.negatives} == left_out
    in_folders = {f"{species}/{Path(name).name}": b"x" for name, species in OF_LATIN.items()} | {
        "o.csv": files["o.csv"]
    }
    with pytest.raises(UserError, match=rf"'{label}' .*{label} by {column}"):
        listing_of(tmp_path, in_folders)
    chosen = labels(listing_of(tmp_path, in_folders, ignore=f"label:{label}"))
    assert chosen == {f"{species}/{Path(name).name}": species for name, species in left.items()}
    with pytest.raises(UserError, match=r"build\.ignore=label:gone fits no label"):
        listing_of(tmp_path, files, ignore=f"label:gone,label:{label}")


@pytest.mark.parametrize("word", ["indet.", "no ID", "Not identified", "empty", "-1"])
def test_labels_of_no_species_are_asked_about_and_the_options_work(tmp_path: Path, word: str) -> None:
    numbers = {name: str(LATIN.index(species)) for name, species in OF_LATIN.items()}
    cells = [f"{Path(n).name},{word if n.endswith('5.jpg') else numbers[n]}" for n in FLAT]
    files = FLAT | {"l.csv": "\n".join(["file,label", *cells]), "classes.txt": "\n".join(LATIN)}
    unknown = [name for name in FLAT if name.endswith("5.jpg")]
    if word != "-1":
        # Words beside numbers are no numbers of a list.
        files["l.csv"] = (
            "\n".join(["file,label", *cells]).replace(",0", ",A b").replace(",1", ",C d").replace(",2", ",E")
        )
    with pytest.raises(UserError, match=rf"the label '{word}' .*build\.ignore=images/15\.jpg,images/25\.jpg"):
        listing_of(tmp_path, files)
    left_out = labels(listing_of(tmp_path, files, ignore=",".join(unknown)))
    assert left_out.keys() == FLAT.keys() - set(unknown)
    assert set(left_out.values()) == (set(LATIN) if word == "-1" else {"A b", "C d", "E"})
    listing = listing_of(tmp_path, files, negatives=",".join(unknown))
    assert [member.name for member in listing.negatives] == sorted(unknown)
    assert not listing.missing
    manifest.check_rejects((), listing, BuildConfig())


def test_rows_keep_to_the_photos_that_are_used(tmp_path: Path) -> None:
    masks = {name.replace("images", "extra"): data for name, data in FLAT.items()}
    table = latin("file,species", "{n}.png,{s}")
    listing = listing_of(tmp_path, FLAT | masks | {"l.csv": table}, ignore="extra/*")
    assert labels(listing) == OF_LATIN


def test_two_columns_of_other_splits_are_asked_about(tmp_path: Path) -> None:
    table = rows("file,species,split,official_split", "{n}.jpg,{s},train,test").replace("train,test", "test,train", 3)
    with pytest.raises(UserError, match=r"columns split and official_split: build\.split_column=split or build"):
        listing_of(tmp_path, FLAT | {"l.csv": table})
    listing = listing_of(tmp_path, FLAT | {"l.csv": table}, split_column="official_split")
    assert [member.split for member in listing.members].count("train") == 3


def test_units_below_the_header_are_no_row(tmp_path: Path) -> None:
    table = rows("file,species,wing", "{n}.jpg,{s},2{i}").replace("wing\n", "wing\n(name),,[mm]\n")
    listing = listing_of(tmp_path, FLAT | {"l.csv": table})
    assert labels(listing) == TRUTH
    assert not listing.missing


def test_two_lists_side_by_side_are_refused(tmp_path: Path) -> None:
    table = "file,species,file,species\n" + "\n".join(f"{i}.jpg,Monarch,1{i}.jpg,Peacock" for i in range(6))
    with pytest.raises(UserError, match=r"l\.csv has several columns file, which name different photos: keep one"):
        listing_of(tmp_path, FLAT | {"l.csv": table})


def test_photos_of_another_column_are_left_out_where_one_is_chosen(tmp_path: Path) -> None:
    table = rows("species,dorsal,ventral", "{s},{n}a.jpg,{n}b.jpg")
    files = dict.fromkeys(PAIRS, b"x") | {"o.csv": table}
    listing = listing_of(tmp_path, files, file_column="dorsal")
    assert labels(listing) == {name: species for name, species in PAIRS.items() if "a" in name}
    assert not listing.rejects
    assert listing.ignored["unlabelled in o.csv"] == 18


@pytest.mark.parametrize("joint", [" and ", " und ", " & ", ";"])
def test_two_species_in_a_cell_are_no_class(tmp_path: Path, joint: str) -> None:
    table = (
        rows("file,species", "{n}.jpg,{s}")
        .replace("5.jpg,", f"5.jpg,Comma{joint}")
        .replace("4.jpg,Peacock", "4.jpg,Comma")
    )
    listing = listing_of(tmp_path, FLAT | {"l.csv": table})
    assert {reject.reason for reject in listing.rejects} == {"several classes in l.csv"}


def test_lists_of_texts_in_json(tmp_path: Path) -> None:
    one = json.dumps({Path(name).name: [species] for name, species in TRUTH.items()})
    assert labels(listing_of(tmp_path, FLAT | {"l.json": one})) == TRUTH
    two = json.dumps([{"SourceFile": name, "Keywords": ["meadow", species]} for name, species in TRUTH.items()])
    with pytest.raises(UserError, match=r"build\.label_column says which is \(Keywords\)"):
        listing_of(tmp_path, FLAT | {"l.json": two})


def test_columns_without_a_value_are_named(tmp_path: Path) -> None:
    table = rows("file,species,class", "{n}.jpg,,")
    with pytest.raises(UserError, match=r"its other columns \(species, class\) are blank in every row: the results of"):
        listing_of(tmp_path, FLAT | {"l.csv": table})
