"""Exports of annotation and field tools give their labels; what they leave open is asked about."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.ingest import raw_zip
from tests.data.ingest.test_layouts import FLAT, Files, labels, listing_of, rows, tree
from tests.data.ingest.test_published_sets import ENGLISH, PHOTOS, SPECIES, lines, photos, species

NUMBERED = photos("images/{n}.jpg")


def per_photo(name: str, value: object) -> Files:
    """Returns a JSON file per photo; "S" in it stands for the species."""
    return {name.format(n=n): json.dumps(value).replace("S!", SPECIES[k]) for k, _, n in PHOTOS}


def supervisely(tags: list[dict[str, object]], objects: list[dict[str, object]]) -> Files:
    size = {"height": 90, "width": 90}
    return per_photo("ds/ann/{n}.jpg.json", {"tags": tags, "size": size, "objects": objects})


OUTLINE = {"points": {"exterior": [[9, 9], [45, 81]], "interior": []}}
CVAT = "<annotations><version>1.1</version>{}</annotations>".format(
    "".join(
        f'<image id="{n}" name="images/{n}.jpg" width="90" height="90">'
        f'<box label="{SPECIES[k]}" xtl="9" ytl="9" xbr="45" ybr="81"></box></image>'
        for k, _, n in PHOTOS
    )
)
OPEN_DATA = {
    "photos.csv": lines("p{n}\t{n}\to{n}\tjpg", "photo_uuid\tphoto_id\tobservation_uuid\textension"),
    "observations.csv": lines("o{n}\t1\t4{k}", "observation_uuid\tobserver_id\ttaxon_id"),
    "taxa.csv": "taxon_id\tancestry\tname\n" + "\n".join(f"4{k}\t1/2\t{s}" for k, s in enumerate(SPECIES)),
}


def quoted(value: object) -> str:
    """Returns a value as JSON in a cell of a CSV file."""
    return '"' + json.dumps(value).replace('"', '""') + '"'


def rectangle_row(photo: tuple[int, int, int]) -> str:
    box = {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": [SPECIES[photo[0]]]}
    return f"/data/upload/1/0a1b2c3d-{photo[2]}.jpg,{quoted([box])}"


def json_line(photo: tuple[int, int, int]) -> str:
    objects = {"bbox": [[1, 1, 3, 3]], "categories": [SPECIES[photo[0]]]}
    return json.dumps({"file_name": f"{photo[2]}.jpg", "objects": objects})


VOTT = {
    str(n): {
        "asset": {"id": str(n), "name": f"{n}.jpg", "size": {"width": 90, "height": 90}},
        "regions": [{"id": "r", "tags": [SPECIES[k]], "boundingBox": {"left": 9, "top": 9, "width": 36, "height": 72}}],
    }
    for k, _, n in PHOTOS
}
FIFTYONE = {"classes": list(SPECIES), "labels": {str(n): k for k, _, n in PHOTOS}}


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (NUMBERED | {"annotations.xml": CVAT}, {None: 18}),
        (photos("ds/img/{n}.jpg") | supervisely([{"name": "species", "value": "S!"}], []), {None: 18}),
        (photos("ds/img/{n}.jpg") | supervisely([{"name": "train"}], [{"classTitle": "S!", **OUTLINE}]), {None: 18}),
        (
            NUMBERED | {"project.csv": "image,label\n" + "\n".join(map(rectangle_row, PHOTOS))},
            {None: 18},
        ),
        (
            photos("train/{n:016}.jpg")
            | {
                "labels.csv": lines("{n:016},verification,/m/0{k}abc,1", "ImageID,Source,LabelName,Confidence"),
                "class-descriptions.csv": "\n".join(f"/m/0{k}abc,{s}" for k, s in enumerate(SPECIES)),
            },
            {"train": 18},
        ),
        (
            photos("training/{c}.{n}.jpg", range(4))
            | photos("testing/{c}.{n}.jpg", range(4, 6))
            | {
                f"{folder}/info.labels": json.dumps(
                    {
                        "files": [
                            {"path": f"{ENGLISH[k]}.{n}.jpg", "category": folder, "label": {"label": SPECIES[k]}}
                            for k, i, n in PHOTOS
                            if i in among
                        ]
                    }
                )
                for folder, among in (("training", range(4)), ("testing", range(4, 6)))
            },
            {"train": 12, "test": 6},
        ),
        (photos("photos/{n}/medium.jpg") | OPEN_DATA, {None: 18}),
        (
            NUMBERED | {"o.csv": lines("9{n},{s},https://a.org/photos/{n}/large.jpeg?1", "id,species,url image")},
            {None: 18},
        ),
        (
            photos("3{n:02}.jpg")
            | {"ML.csv": lines("3{n:02},Photo,{s}", "ML Catalog Number,Format,Scientific Name")},
            {None: 18},
        ),
        (
            NUMBERED
            | {
                "default.json": json.dumps(
                    {
                        "categories": {"label": {"labels": [{"name": name, "parent": ""} for name in SPECIES]}},
                        "items": [
                            {"id": str(n), "annotations": [{"label_id": k}], "image": {"path": f"{n}.jpg"}}
                            for k, _, n in PHOTOS
                        ],
                    }
                )
            },
            {None: 18},
        ),
        (
            NUMBERED
            | {
                "import.csv": "\n".join(
                    f"{'UNASSIGNED' if i == 5 else 'TRAIN'},gs://b/images/{n}.jpg,{SPECIES[k]}" for k, i, n in PHOTOS
                )
            },
            {"train": 15, None: 3},
        ),
        (
            photos("train/{n}.jpg") | {"train/metadata.jsonl": "\n".join(map(json_line, PHOTOS))},
            {"train": 18},
        ),
        (NUMBERED | {"target/vott.json": json.dumps({"name": "x", "tags": [], "assets": VOTT})}, {None: 18}),
        (NUMBERED | {f"target/a{key}-asset.json": json.dumps(asset) for key, asset in VOTT.items()}, {None: 18}),
        (NUMBERED | {"labels.json": json.dumps(FIFTYONE)}, {None: 18}),
    ],
    ids=[
        "CVAT", "Supervisely tags", "Supervisely objects", "Label Studio CSV", "Open Images", "Edge Impulse",
        "iNaturalist open data", "iNaturalist URLs", "Macaulay", "Datumaro", "AutoML", "Hugging Face objects",
        "VoTT", "VoTT assets", "FiftyOne",
    ],
)  # fmt: skip
def test_exports_give_their_labels(tmp_path: Path, files: Files, splits: dict[str | None, int]) -> None:
    listing = listing_of(tmp_path, files)
    found = labels(listing)
    assert len(found) == 18
    assert found == {name: species(str(Path(name).parent) if name.endswith("medium.jpg") else name) for name in found}
    assert not listing.rejects
    given = [member.split for member in listing.members]
    assert {split: given.count(split) for split in given} == splits


BOXED = {
    "CVAT": NUMBERED | {"annotations.xml": CVAT},
    "Supervisely": photos("ds/img/{n}.jpg") | supervisely([], [{"classTitle": "S!", **OUTLINE}]),
    "VoTT": NUMBERED | {"vott.json": json.dumps({"assets": VOTT})},
}


@pytest.mark.parametrize("files", BOXED.values(), ids=BOXED)
def test_boxes_of_exports(tmp_path: Path, files: Files) -> None:
    found = {tuple(map(tuple, member.boxes)) for member in listing_of(tmp_path, files).members}
    assert found == {((9.0, 9.0, 45.0, 81.0, 90.0, 90.0),)}


def test_classifications_of_zooniverse_are_asked_about_by_their_columns(tmp_path: Path) -> None:
    table = "classification_id,annotations,subject_data\n" + "\n".join(
        f"{2 * n + by},{quoted([{'task': 'T0', 'value': SPECIES[k]}])},"
        + quoted({str(500 + n): {"Filename": f"{n}.jpg"}})
        for k, _, n in PHOTOS
        for by in range(2)
    )
    with pytest.raises(UserError, match=r"c\.csv names 18 photos in its column Filename, .*which is \(value, "):
        listing_of(tmp_path, NUMBERED | {"c.csv": table})
    listing = listing_of(tmp_path, NUMBERED | {"c.csv": table}, label_column="value")
    assert labels(listing) == {name: species(name) for name in NUMBERED}


def test_a_label_that_says_that_there_is_none_is_asked_about(tmp_path: Path) -> None:
    files = FLAT | {"images/90.jpg": b"x", "l.csv": rows("file,species", "{n}.jpg,{s}") + "\n90.jpg,unknown\n"}
    with pytest.raises(
        UserError, match=r"the label 'unknown' in l\.csv .*may be a class.* build\.layout=table takes it"
    ):
        listing_of(tmp_path, files)
    assert labels(listing_of(tmp_path, files, layout="table"))["images/90.jpg"] == "unknown"
    assert "images/90.jpg" not in labels(listing_of(tmp_path, files, ignore="images/90.jpg"))
    assert [member.name for member in listing_of(tmp_path, files, negatives="images/90.jpg").negatives] == [
        "images/90.jpg"
    ]


def test_a_folder_of_the_unknown_is_named_in_the_options(tmp_path: Path) -> None:
    files = tree("{s}/{n}.jpg", ("Monarch", "Peacock", "Unknown"))
    table = "\n".join(["file,species", *(f"{name},{name.split('/')[0]}" for name in files)])
    with pytest.raises(UserError, match=r"build\.ignore=Unknown/\* leaves .*build\.negatives=Unknown/\* takes"):
        listing_of(tmp_path, files | {"l.csv": table})


@pytest.mark.parametrize("lists", [lambda s: quoted([s]), lambda s: f"\"['{s}']\""])
def test_lists_of_one_label_in_cells(tmp_path: Path, lists: Callable[[str], str]) -> None:
    table = "file,labels\n" + "\n".join(f"{n}.jpg,{lists(SPECIES[k])}" for k, _, n in PHOTOS)
    assert labels(listing_of(tmp_path, NUMBERED | {"l.csv": table})) == {name: species(name) for name in NUMBERED}


@pytest.mark.parametrize("cut", [" ", "/", " & ", "+"])
def test_several_labels_in_a_cell_are_no_class(tmp_path: Path, cut: str) -> None:
    one, other = (name.replace(" ", "_") for name in SPECIES[:2])
    table = lines("{n}.jpg,{u}", "file,labels").replace(f"\n0.jpg,{one}", f"\n0.jpg,{one}{cut}{other}")
    listing = listing_of(tmp_path, NUMBERED | {"l.csv": table})
    assert [(reject.member, reject.reason) for reject in listing.rejects] == [
        ("images/0.jpg", "several classes in l.csv")
    ]


def test_names_with_dots_and_no_suffix(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, photos("b.c.{n}.jpg") | {"l.csv": lines("b.c.{n},{s}", "name,species")})
    assert labels(listing) == {name: species(name) for name in photos("b.c.{n}.jpg")}


def test_lists_of_photos_in_cells(tmp_path: Path) -> None:
    rows_of = [f"{s},{quoted([f'{10 * k + i}.jpg' for i in range(6)])}" for k, s in enumerate(SPECIES)]
    listing = listing_of(tmp_path, NUMBERED | {"l.csv": "\n".join(["species,photos", *rows_of])})
    assert labels(listing) == {name: species(name) for name in NUMBERED}


def test_the_class_of_nothing_among_columns_of_classes_is_asked_about(tmp_path: Path) -> None:
    table = (
        "filename, Unlabeled, "
        + ", ".join(SPECIES)
        + "\n"
        + "\n".join(
            f"{n}.jpg, " + ", ".join("1" if j == (k if i else -1) else "0" for j in range(-1, 3)) for k, i, n in PHOTOS
        )
    )
    with pytest.raises(UserError, match=r"the label 'Unlabeled' in images/_classes\.csv .*photos: 3"):
        listing_of(tmp_path, NUMBERED | {"images/_classes.csv": table})


def subject(name: str) -> bytes:
    return f"<x:xmpmeta><dc:subject><rdf:Bag><rdf:li>{name}</rdf:li></rdf:Bag></dc:subject></x:xmpmeta>".encode()


@pytest.mark.parametrize("where", ["sidecars", "Takeout", "XMP", "IPTC"])
def test_keywords_are_named_and_not_taken_for_labels(tmp_path: Path, where: str) -> None:
    files: Files = {}
    for k, _, n in PHOTOS:
        keyword = SPECIES[k].encode()
        of_iptc = b"\xff\xed Photoshop 3.0\0\x1c\x02\x19" + len(keyword).to_bytes(2, "big") + keyword
        files[f"IMG_{n}.jpg"] = {"XMP": subject(SPECIES[k]), "IPTC": of_iptc}.get(where, b"x")
        if where == "sidecars":
            files[f"IMG_{n}.xmp"] = subject(SPECIES[k])
        if where == "Takeout":
            files[f"IMG_{n}.jpg.supplemental-metadata.json"] = json.dumps({"description": SPECIES[k], "title": "x"})
    with pytest.raises(UserError, match=r"keywords in .*\(.*Danaus plexippus.*\) are not read as labels.*exiftool"):
        listing_of(tmp_path, files)


def test_pixels_that_look_like_a_keyword_are_none(tmp_path: Path) -> None:
    # The second is of docs/images/batch.jpg, with 50 kB behind it; each is in the pixels of a JPEG.
    files: Files = {
        f"IMG_{n}.jpg": b"\x1c\x02\x19\x00\x04\xcf\xfa\x10\x01 \x1c\x02\x19\xc6\x11~T" for _, _, n in PHOTOS
    }
    with pytest.raises(UserError) as raised:
        listing_of(tmp_path, files)
    assert "keywords" not in str(raised.value)


def test_folders_of_one_photo_each_name_no_species(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"each folder holds one photo, so 70, 71, .* may be numbers of photos, not species.*layout=leaf",
    ):
        listing_of(tmp_path, photos("photos/7{n}/medium.jpg"))
    few = tree("{s}/{n}.jpg", ("Monarch", "Peacock", "Comma", "Map", "Brimstone"), count=1)
    assert len(set(labels(listing_of(tmp_path, few)).values())) == 5


def test_a_few_rows_in_a_readme_show_the_form_of_a_table(tmp_path: Path) -> None:
    readme = "| file | species |\n|---|---|\n| 0.jpg | Some species |\n| 1.jpg | Another |\n"
    listing = listing_of(tmp_path, NUMBERED | {"README.md": readme, "labels.csv": lines("{n}.jpg,{s}", "file,species")})
    assert labels(listing) == {name: species(name) for name in NUMBERED}


def test_numbers_of_rows_are_not_those_of_photos(tmp_path: Path) -> None:
    table = "\n".join(["rank,species", *(f"{n},{s}" for n, s in enumerate(SPECIES))])
    files = photos("{n:02}.jpg") | {"list.csv": table}
    with pytest.raises(UserError, match=r"list\.csv: no column names files of the input, only rank, species"):
        listing_of(tmp_path, files)


def test_some_names_with_backslashes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as packed:
        for k, i, n in PHOTOS:
            packed.writestr(f"{SPECIES[k]}{chr(92) if i % 2 else '/'}{n}.jpg", b"x")
    assert labels(raw_zip.list_source(tmp_path / "mixed.zip")) == {
        f"{SPECIES[k]}/{n}.jpg": SPECIES[k] for k, _, n in PHOTOS
    }
