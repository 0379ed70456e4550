"""Tables by what is in their cells: dates, marks of absence, words of doubt, several species, units, other splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.ingest import manifest
from tests.data.ingest.test_layouts import FLAT, labels, listing_of, rows, tree
from tests.data.ingest.test_row_kinds import LATIN, OF_LATIN, PAIRS, TRUTH, latin


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
        ("id_correct", "yes", "no", "excluded"), ("answer", "accept", "reject", "excluded"),
        ("Status", "Approved", "rejected", "excluded"), ("review", "", "wrong", "excluded"),
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


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("category", ("male", "female", "male")), ("tag", ("dorsal", "ventral", "lateral")),
        ("label", ("Germany", "France", "Italy")), ("annotation", ("2019", "2020", "2021")),
        ("class", ("site 1", "site 2", "site 3")), ("taxon", ("Nymphalidae", "Pieridae", "Pieridae")),
    ],
)  # fmt: skip
def test_sexes_views_places_and_families_beside_species_are_no_labels(
    tmp_path: Path, column: str, cells: tuple[str, ...]
) -> None:
    of_latin = dict(zip(LATIN, cells, strict=True))
    lines = [f"{Path(name).name},{of_latin[species]},{species}" for name, species in OF_LATIN.items()]
    files = FLAT | {"o.csv": "\n".join([f"file,{column},Falter", *lines])}
    with pytest.raises(UserError, match=rf"says which is \((?:{column}, Falter|Falter, {column})\)"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, label_column=column)).values()) == set(cells)
    files["o.csv"] = files["o.csv"].replace("Falter", "species")
    assert labels(listing_of(tmp_path, files)) == OF_LATIN


@pytest.mark.parametrize("sign", ["~", "dito", "\u201e", "s.o.", "see above"])
def test_signs_for_the_row_above_are_no_labels(tmp_path: Path, sign: str) -> None:
    lines = [f"{Path(name).name},{sign if n % 6 else species}" for n, (name, species) in enumerate(OF_LATIN.items())]
    listing = listing_of(tmp_path, FLAT | {"o.csv": "\n".join(["file,species", *lines])})
    with pytest.raises(UserError, match=r"15 like .*: empty label in o\.csv; if a label holds for the rows below"):
        manifest.check_rejects(listing.rejects, listing, BuildConfig())


@pytest.mark.parametrize(
    "word",
    ["indet.", "no ID", "Not identified", "empty", "-1", "n.d.", "unknown butterfly", "indet. Lycaenidae",
     "espèce inconnue", "nicht bestimmt", "Unbekannte Art"],
)  # fmt: skip
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


def test_a_second_species_in_a_column_of_its_own_is_no_class(tmp_path: Path) -> None:
    head, row = "file,species,species_2", "{n}.jpg,{s},"
    table = latin(head, row).replace("3.jpg,Aglais io,", "3.jpg,Aglais io,Pieris rapae")
    listing = listing_of(tmp_path, FLAT | {"l.csv": table})
    assert [(r.member, r.reason) for r in listing.rejects] == [("images/3.jpg", "several classes in l.csv")]
    # In other words, it is the same species.
    listing = listing_of(tmp_path, FLAT | {"l.csv": latin(head, "{n}.jpg,{s},the {e} of {g}")})
    assert labels(listing) == OF_LATIN


def test_markup_in_cells_is_no_part_of_a_name(tmp_path: Path) -> None:
    table = latin("file,species", "{n}.jpg,<i>{s}</i>").replace("<i>Pieris rapae</i>", "Pieris rapae", 3)
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": table})) == OF_LATIN


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


def test_photos_that_lists_of_splits_leave_out_are_named(tmp_path: Path) -> None:
    names = sorted(tree("{s}/{n}.jpg"))
    files = tree("{s}/{n}.jpg") | {"train.txt": "\n".join(names[:12]), "test.txt": "\n".join(names[14:])}
    listing = listing_of(tmp_path, files)
    assert {member.name for member in listing.members if not member.split} == set(names[12:14])
    assert listing.notes[0].endswith(
        f"train.txt: 2 such as {names[12]}; they go to train, or to a split that is not given"
    )


def test_numbers_beside_names_are_asked_about(tmp_path: Path) -> None:
    cells = [f"{Path(name).name},{k % 3 if k % 2 else species}" for k, (name, species) in enumerate(TRUTH.items())]
    files = FLAT | {"l.csv": "\n".join(["file,label", *cells]), "classes.txt": "\n".join(sorted(set(TRUTH.values())))}
    with pytest.raises(UserError, match=r"some labels in l\.csv are numbers \(0, 1, 2\) and others names \(Monarch, "):
        listing_of(tmp_path, files)
    assert len(set(labels(listing_of(tmp_path, files, table="l.csv")).values())) == 6


@pytest.mark.parametrize("word", ["Aglais", "Aglais sp.", "Aglais_spp", "Nymphalidae", "Papilionoidea"])
def test_a_genus_or_family_beside_species_is_asked_about(tmp_path: Path, word: str) -> None:
    above = [name for name in FLAT if name.endswith("5.jpg")]
    cells = [f"{Path(name).name},{word if name in above else species}" for name, species in OF_LATIN.items()]
    files = FLAT | {"l.csv": "\n".join(["file,scientific_name", *cells])}
    with pytest.raises(UserError, match=rf"the label '{word}' .*species is not known: .*build\.ignore=images/15\.jpg"):
        listing_of(tmp_path, files)
    assert set(labels(listing_of(tmp_path, files, ignore=f"label:{word}")).values()) == set(LATIN)
    in_folders = {f"{word if name in above else species}/{Path(name).name}": b"x" for name, species in OF_LATIN.items()}
    with pytest.raises(UserError, match=rf"{word}/ \(photos: 3\) .*or photos whose .*build\.ignore={word}/\* leaves"):
        listing_of(tmp_path, in_folders)
    assert set(labels(listing_of(tmp_path, in_folders, ignore=f"{word}/*")).values()) == set(LATIN)
    assert set(labels(listing_of(tmp_path, in_folders, layout="leaf")).values()) == {*LATIN, word}


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    with pytest.raises(UserError, match=r"l\.xlsx: a pointer of Git LFS, not the file itself: fetch that with git lfs"):
        listing_of(tmp_path, FLAT | {"l.xlsx": pointer})
