"""Layouts by their kinds: split folders, wrappers, strays and tables by names that no documented example has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import raw_zip
from tests.data.ingest.test_layouts import FLAT, SPECIES, Files, labels, listing_of, rows, tree

TRUTH = {name: SPECIES[int(Path(name).stem) // 10] for name in FLAT}


def splits_of(listing: raw_zip.Listing) -> dict[str, str | None]:
    return {member.name.split("/")[0]: member.split for member in listing.members}


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [
        ("my_train", "my_test", "test"), ("train_v2", "test_v2", "test"), ("seg_train", "seg_test", "test"),
        ("ImagesTrain", "ImagesVal", "val"), ("set1 train", "set1 holdout", "test"), ("train_aug", "dev_aug", "val"),
        ("Trainingsdaten", "Testbilder", "test"), ("entrenamiento", "validación", "val"),
        ("latih", "data uji", "test"), ("treningowe", "walidacyjne", "val"), ("trénovací", "testovací", "test"),
        ("Jeu d'entraînement", "Jeu de test", "test"), ("träning", "validering", "val"), ("学習用", "評価用", "test"),
        ("обучающая выборка", "тестовая выборка", "test"), ("تدريب", "اختبار", "test"),
        ("huấn luyện", "kiểm tra", "test"),
    ],
)  # fmt: skip
def test_splits_beside_each_other(tmp_path: Path, train: str, other: str, split: str) -> None:
    listing = listing_of(tmp_path, tree(train + "/{s}/{i}.jpg") | tree(other + "/{s}/t{i}.jpg"))
    assert splits_of(listing) == {train: "train", other: split}
    assert set(labels(listing).values()) == set(SPECIES)


def test_photos_to_predict_are_left_out(tmp_path: Path) -> None:
    files = tree("seg_train/seg_train/{s}/{i}.jpg") | tree("seg_test/seg_test/{s}/t{i}.jpg") | tree("seg_pred/{n}.jpg")
    listing = listing_of(tmp_path, files)
    assert splits_of(listing) == {"seg_train": "train", "seg_test": "test"}
    assert listing.ignored == {"unlabelled in seg_pred/": 18}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (tree("trainval/{s}/{i}.jpg") | tree("test/{s}/t{i}.jpg"),
         r"trainval/ lies beside the split test/ and holds the same folders.*rename .*build\.ignore=trainval/\*"),
        (tree("{s}/{i}.jpg", ("Test", "Monarch", "Peacock")),
         r"Test/ lies among the folders of species.*build\.layout=leaf takes it .*build\.ignore=Test/\* leaves it out"),
        (tree("{s}/{i}.jpg") | tree("other/{n}.jpg"),
         r"other/ \(photos: 18\) may be a class .*build\.ignore=other/\* leaves .*build\.layout=leaf takes"),
        (tree("{s}/{i}.jpg") | tree("Background/{n}.jpg"),
         r"Background/ .* may be a class .*build\.negatives=Background/\* takes it as photos that show no species"),
        (tree("set/{s}/{i}.jpg") | tree("set/New folder (2)/{n}.jpg"), r"build\.ignore=set/New folder \(2\)/\*"),
        (tree("High quality/{s}/{i}.jpg") | tree("Low quality/{s}/x{i}.jpg"),
         r"two ways: species are High quality, Low quality or Monarch"),
        (tree("Danaus plexippus/{s}/{i}.jpg", ("Asclepias syriaca", "Buddleja davidii")) |
         tree("Vanessa atalanta/{s}/{i}.jpg", ("Asclepias syriaca", "Buddleja davidii")), "two ways: .* are Danaus"),
        (tree("{n}.jpg") | tree("images/x{n}.jpg"),
         "the photos lie in /, images/, which name no species; name the folders after"),
        (tree("{s}/{i}.jpg", ("Pictures", "Photos")), r"name no species \(build\.layout=leaf takes them as species\)"),
        (FLAT | {"l.csv": rows("id,filename,label", "x,{n}.jpg,{s},male")},
         r"l\.csv has a header of 3 columns, and rows of more cells"),
        (FLAT | {"l.csv": rows("filename,label", "{n}.jpg,{s}, male")}, "header of 2 columns"),
        (FLAT | {"l.csv": rows("filename,label", "{n}.jpg,note {n}")}, r"build\.label_column says which is \(label\)"),
        (tree("train/{n}.jpg") | tree("test/t{n}.jpg") | {
            "train.csv": rows("id,label", "{n}.jpg,{s}"), "other.csv": rows("id,label", "t{n}.jpg,{k}")},
         r"labels in other\.csv are numbers, those in train\.csv are names: .*build\.table=train\.csv"),
        (tree("{s}/{n}.jpg") | {"fixes.csv": "filename,label\n0.jpg,Peacock\n1.jpg,Red Admiral"},
         r"by its folder Monarch/0\.jpg is 'Monarch', by fixes\.csv .*'Peacock'"),
        (FLAT | {"labels.parquet": b"PAR1"}, r"labels\.parquet: a Parquet file is not read: save it as CSV"),
        (FLAT | {"a.xml": b"<x/>", "b.xml": b"<x/>"}, r"2 files like a\.xml: an XML file is not read"),
        (FLAT | {"l.csv": "filename#label\n" + "#".join(f"{n}.jpg" for n in range(6))},
         r"l\.csv: its lines name photos, but no delimiter"),
    ],
)  # fmt: skip
def test_two_readings_are_refused(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(UserError, match=message):
        listing_of(tmp_path, files)


def test_photos_that_show_no_species_are_chosen_by_pattern(tmp_path: Path) -> None:
    files = tree("{s}/{i}.jpg") | tree("background/{n}.jpg") | tree("other/none/{n}.jpg")
    listing = listing_of(tmp_path, files, negatives="background/*, other/*")
    assert set(labels(listing).values()) == set(SPECIES)
    assert len(listing.negatives) == len(files) - len(listing.members)
    assert {member.name.split("/")[0] for member in listing.negatives} == {"background", "other"}
    with pytest.raises(UserError, match=r"build\.negatives=sky/\* fits no photo in .*\.zip"):
        listing_of(tmp_path, files, negatives="background/*,sky/*")
    with pytest.raises(UserError, match=r"build\.negatives=\*\.jpg takes every photo"):
        listing_of(tmp_path, files, negatives="*.jpg")


@pytest.mark.parametrize("name", ["Test", "images", "May", "Other", "Spring"])
def test_leaf_takes_any_folder_as_a_species(tmp_path: Path, name: str) -> None:
    files = tree("{s}/{i}.jpg", (name, "Monarch", "Peacock"))
    listing = listing_of(tmp_path, files, layout="leaf")
    assert labels(listing) == {file: file.split("/")[0] for file in files}
    assert {member.split for member in listing.members} == {None}


@pytest.mark.parametrize("stray", ["$RECYCLE.BIN/x.jpg", "@eaDir/0.jpg/T.jpg", "lost+found/x.jpg", "Trash/x.jpg"])
def test_folders_of_systems_are_no_species(tmp_path: Path, stray: str) -> None:
    listing = listing_of(tmp_path, tree("{s}/{i}.jpg") | {stray: b"x"})
    assert set(labels(listing).values()) == set(SPECIES)
    assert listing.num_ignored == 1


@pytest.mark.parametrize(
    ("train", "test"), [("训练集", "测试集"), ("обучение", "тест"), ("addestramento", "test"), ("eğitim", "test")]
)
def test_splits_in_other_languages(tmp_path: Path, train: str, test: str) -> None:
    listing = listing_of(tmp_path, tree(train + "/{s}/{i}.jpg") | tree(test + "/{s}/t{i}.jpg"))
    assert {member.split for member in listing.members} == {"train", "test"}


def test_parts_of_a_large_set_are_no_species(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the photos lie in images_0/, images_1/, images_2/, which name no species"):
        listing_of(tmp_path, tree("images_{k}/{n}.jpg"))


def test_folders_above_the_species_that_say_nothing_are_named(tmp_path: Path) -> None:
    latin = ("Aglais io", "Pieris rapae")
    listing = listing_of(tmp_path, tree("seen/{s}/{i}.jpg", latin) | tree("unseen/{s}/u{i}.jpg", latin))
    assert set(labels(listing).values()) == set(latin)
    assert "the folders above the species (seen, unseen) are not used" in listing.notes[0]
    assert "if they are splits, name them train, val and test" in listing.notes[0]


def test_a_taxonomy_without_latin_names_is_reported(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, tree("Brush-footed/{s}/{i}.jpg") | tree("Whites/{s}/{i}.jpg", ("Brimstone",)))
    assert set(labels(listing).values()) == {*SPECIES, "Brimstone"}
    assert "the innermost folders are the species" in listing.notes[0]


PAIRS = [(f"{10 * k + i}.jpg", s) for k, s in enumerate(SPECIES) for i in range(6)]
BY_ROW = [{"filename": file, "label": label} for file, label in PAIRS]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        *[(f"labels.{suffix}", rows(f"filename{cut}label", f"{{n}}.jpg{cut}{{s}}"))
          for suffix in ("csv", "txt") for cut in ("::", "^", "~", ":", "   ", " ")],
        ("labels.dat", rows("filename,label", "{n}.jpg,{s}")),
        ("labels", rows("filename,label", "{n}.jpg,{s}")),
        ("l.csv", rows("文件名,物种", "{n}.jpg,{s}")),
        ("l.csv", rows("ファイル名,和名,学名", "{n}.jpg,x{k},{s}")),
        ("l.csv", rows("nom du fichier;nom vernaculaire;nom latin", "{n}.jpg;x{k};{s}")),
        ("l.csv", "Butterflies of Kent,\n,\n" + rows("filename,label", "{n}.jpg,{s}")),
        ("l.csv", "% mine\n" + rows("filename,label", "{n}.jpg,{s}")),
        ("l.csv", rows("'filename','label'", "'{n}.jpg','{s}'")),
        ("l.csv", "filename,label_" + ",label_".join(SPECIES) + "\n" + "\n".join(
            f"{file}," + ",".join(str(s == label).upper() for s in SPECIES) for file, label in PAIRS)),
        ("l.json", json.dumps({"data": {"items": BY_ROW}})),
        ("l.json", json.dumps({file.partition(".")[0] + "x": label for file, label in PAIRS}).replace('x"', '.jpg"')),
        ("l.json", "\n".join(map(json.dumps, BY_ROW))),
        ("l.json", json.dumps({"labels": PAIRS})),
        ("l.json", json.dumps([["file", "label"], *PAIRS])),
        ("via.json", json.dumps({"_via_img_metadata": {
            file + "99": {"filename": file, "regions": [], "file_attributes": {"species": label}}
            for file, label in PAIRS}})),
        ("v.jsonl", "\n".join(json.dumps({"imageGcsUri": f"gs://b/{file}", "classificationAnnotation": {
            "displayName": label}}) for file, label in PAIRS)),
        ("out.manifest", "\n".join(json.dumps({"source-ref": f"s3://b/{file}", "species-metadata": {
            "class-name": label}}) for file, label in PAIRS)),
    ],
)  # fmt: skip
def test_tables_of_other_programs(tmp_path: Path, name: str, table: str) -> None:
    assert labels(listing_of(tmp_path, FLAT | {name: table})) == TRUTH


def test_a_table_in_shift_jis(tmp_path: Path) -> None:
    table = rows("ファイル名,和名,学名", "{n}.jpg,オオカバマダラ,{s}").encode("cp932")
    assert labels(listing_of(tmp_path, FLAT | {"一覧.csv": table})) == TRUTH


def test_a_row_of_several_classes_is_a_reject(tmp_path: Path) -> None:
    table = rows("filename,label", "{n}.jpg,{s}").replace("0.jpg,Monarch", "0.jpg,Monarch|Peacock", 1)
    listing = listing_of(tmp_path, FLAT | {"l.csv": table})
    assert [(r.member, r.reason) for r in listing.rejects] == [("images/0.jpg", "several classes in l.csv")]


@pytest.mark.parametrize("named", ["random_submission.csv", "test_predicted.csv", "sampleSubmission.csv"])
def test_guesses_of_models_are_no_labels(tmp_path: Path, named: str) -> None:
    files = tree("train/{n}.jpg") | tree("test/t{n}.jpg")
    tables = {"train.csv": rows("id,label", "{n}.jpg,{s}"), named: rows("id,label", "t{n}.jpg,{s}")}
    listing = listing_of(tmp_path, files | tables)
    assert splits_of(listing) == {"train": "train"}
    assert any(named in note for note in listing.notes)


@pytest.mark.parametrize(
    "lists",
    [
        {"train.txt": "{0}", "test.txt": "{1}"},
        {"meta/train.lst": "{0}", "meta/test.lst": "{1}"},
        {"splits.json": "json"},
    ],
)
def test_lists_give_the_splits_of_photos_in_folders(tmp_path: Path, lists: dict[str, str]) -> None:
    files = list(tree("{s}/{n}.jpg"))
    halves = files[::2], files[1::2]
    texts = {name: text.format(*map("\n".join, halves)) for name, text in lists.items()}
    if "splits.json" in texts:
        texts["splits.json"] = json.dumps(dict(zip(("train", "test"), halves, strict=True)))
    listing = listing_of(tmp_path, dict.fromkeys(files, b"x") | texts)
    assert {m.name: (m.species, m.split) for m in listing.members} == {
        name: (name.split("/")[0], "test" if name in halves[1] else "train") for name in files
    }


def test_parts_of_a_json_file_are_splits(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, FLAT | {"l.json": json.dumps({"train": BY_ROW[::2], "test": BY_ROW[1::2]})})
    assert labels(listing) == TRUTH
    assert [member.split for member in listing.members].count("test") == 9


def test_the_first_of_several_lists_in_a_json_file_is_no_header(tmp_path: Path) -> None:
    photos = tree("{s}/{n}.jpg")
    by_list = [[name, 7, name.split("/")[0]] for name in photos]
    listing = listing_of(tmp_path, photos | {"split.json": json.dumps({"train": by_list[::2], "test": by_list[1::2]})})
    assert {m.name: m.split for m in listing.members} == {
        name: ("train", "test")[position % 2] for position, name in enumerate(photos)
    }


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("mapping.txt", "0: Monarch\n1: Peacock\n2: Red Admiral"),
        ("names.csv", "0,Monarch\n1,Peacock\n2,Red Admiral"),
        ("config.json", json.dumps({"id2label": {str(k): s for k, s in enumerate(SPECIES)}})),
        ("label_map.pbtxt", "".join(f"item {{\n id: {k}\n name: '{s}'\n}}\n" for k, s in enumerate(SPECIES))),
    ],
)
def test_names_of_numbered_classes(tmp_path: Path, name: str, names: str) -> None:
    table = rows("filename,label", "{n}.jpg,{k}")
    assert labels(listing_of(tmp_path, FLAT | {"l.csv": table, name: names})) == TRUTH


@pytest.mark.parametrize("pattern", ["{k}.{s}/{n}.jpg", "{n}.jpg"])
def test_the_form_of_cub_200(tmp_path: Path, pattern: str) -> None:
    photos = list(tree("CUB/images/" + pattern))
    numbered = list(enumerate(photos, start=1))
    files = {
        "images.txt": [path.removeprefix("CUB/images/") for path in photos],
        "image_class_labels.txt": [str(int(Path(path).stem) // 10 + 1) for path in photos],
        "train_test_split.txt": [str(number % 2) for number, _ in numbered],
        "bounding_boxes.txt": ["60.0 27.0 325.0 304.0"] * len(photos),
    }
    texts: Files = {
        f"CUB/{name}": "\n".join(f"{n} {line}" for n, line in enumerate(lines, 1)) for name, lines in files.items()
    }
    texts["CUB/classes.txt"] = "\n".join(f"{k + 1} {k}.{s}" for k, s in enumerate(SPECIES))
    listing = listing_of(tmp_path, dict.fromkeys(photos, b"x") | texts)
    assert {m.name: (m.species, m.split) for m in listing.members} == {
        path: (f"{int(Path(path).stem) // 10}.{TRUTH[f'images/{Path(path).name}']}", "train" if n % 2 else "test")
        for n, path in numbered
    }


def test_prose_is_no_table(tmp_path: Path) -> None:
    notes: Files = {"notes.txt": "Camera: Canon\nPlace: Kent", "about.txt": "taken in the garden\nby a friend"}
    assert not listing_of(tmp_path, tree("{s}/{i}.jpg") | notes).notes


def test_folders_name_the_numbers_of_a_table(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg")
    listing = listing_of(tmp_path, files | {"l.csv": rows("filename,label", "{n}.jpg,{k}", count=4)})
    assert labels(listing) == {name: name.split("/")[0] for name in files}
    assert not listing.notes


def test_a_row_of_its_own_outweighs_one_that_may_be_another_files(tmp_path: Path) -> None:
    table = rows("filename,label", "images/{n}.jpg,{s}") + "\nother/0.jpg,Monarch\n0.jpg,Red Admiral\n"
    listing = listing_of(tmp_path, FLAT | {"other/0.jpg": b"x", "labels.csv": table})
    assert labels(listing) == TRUTH | {"other/0.jpg": "Monarch"}
    assert [reject.member for reject in listing.missing] == ["0.jpg"]


def test_folds_of_a_cross_validation_are_asked_about(tmp_path: Path) -> None:
    files: Files = {
        f"set/fold{fold}/{'test' if i == fold else 'train'}/{s}/{i}.jpg": b"x"
        for fold in range(3)
        for s in SPECIES
        for i in range(6)
    }
    with pytest.raises(UserError, match=r"folds of a .*build\.ignore=\*fold1/\*,\*fold2/\* keeps fold0") as caught:
        listing_of(tmp_path, files)
    advised = str(caught.value).partition("build.ignore=")[2].split()[0]
    listing = listing_of(tmp_path, files, ignore=advised)
    assert {member.name: member.split for member in listing.members} == {
        name: name.split("/")[2] for name in files if "fold0" in name
    }
    assert {member.split for member in listing_of(tmp_path, files, split_column="none").members} == {None}
