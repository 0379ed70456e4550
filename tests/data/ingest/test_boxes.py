"""Boxes of butterflies: which annotations give some, in which unit, and what becomes of those that cannot be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import photo
from butterflyer_jax.data.ingest import photo_tasks
from butterflyer_jax.data.ingest.collection import Listing
from butterflyer_jax.data.ingest.raw_zip import list_source
from tests.conftest import make_zip

FOLDERS = {f"{species}/{n}.jpg": b"x" for species in ("Monarch", "Peacock") for n in range(2)}
FIRST = "Monarch/0.jpg"


def listing_of(folder: Path, members: dict[str, Any], **build: Any) -> Listing:
    contents = {name: data if isinstance(data, bytes) else data.encode() for name, data in members.items()}
    return list_source(make_zip(folder / "raw.zip", contents), BuildConfig(**build))


def boxes_of(folder: Path, members: dict[str, Any], **build: Any) -> dict[str, tuple[float, ...]]:
    found = listing_of(folder, members, **build).members
    return {member.name: tuple(member.boxes[0]) for member in found if len(member.boxes) == 1}


@pytest.mark.parametrize(
    ("table", "box"),
    [
        ("filename,xmin,ymin,xmax,ymax\n{},10,20,40,60\n", (10, 20, 40, 60, 0, 0)),
        ("filename,width,height,class,xmin,ymin,xmax,ymax\n{},200,100,Monarch,10,20,40,60\n",
         (10, 20, 40, 60, 200, 100)),
        ("Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2\n{};200;100;10;20;40;60\n", (10, 20, 40, 60, 200, 100)),
        ("filename,x,y,w,h\n{},10,20,30,40\n", (10, 20, 40, 60, 0, 0)),
        ("filename,bbox_x,bbox_y,bbox_width,bbox_height\n{},10,20,30,40\n", (10, 20, 40, 60, 0, 0)),
        ("file_name,XMin,YMin,XMax,YMax\n{},0.1,0.2,0.4,0.6\n", (0.1, 0.2, 0.4, 0.6, 1, 1)),
        # A size: the third number is no right side of a box that begins further right.
        ('filename,bbox\n{},"[10, 20, 5, 40]"\n', (10, 20, 15, 60, 0, 0)),
        # Corners: a box of this size would leave the photo.
        ("filename,bbox,width,height\n{},150 20 190 60,200,100\n", (150, 20, 190, 60, 200, 100)),
        # One number beyond the photo makes no pixels of shares.
        ("filename,xmin,ymin,xmax,ymax\n{},0.1,0.2,0.4,1.01\n", (0.1, 0.2, 0.4, 1.01, 1, 1)),
        ("filename,x_center,y_center,width,height\n{},0.25,0.4,0.3,0.4\n", (0.1, 0.2, 0.4, 0.6, 1, 1)),
        # A centre: of this corner the box would leave the photo. And the other way round.
        ("filename,x,y,w,h\n{},0.8,0.4,0.3,0.4\n", (0.65, 0.2, 0.95, 0.6, 1, 1)),
        ("filename,x,y,w,h\n{},0.1,0.2,0.3,0.4\n", (0.1, 0.2, 0.4, 0.6, 1, 1)),
    ],
    ids=[
        *("corners", "with_size", "gtsrb", "size", "prefixed", "shares", "list_size", "list_corners"),
        *("shares_beyond", "centre", "only_centre", "only_corner"),
    ],
)  # fmt: skip
def test_a_table_gives_boxes(tmp_path: Path, table: str, box: tuple[float, ...]) -> None:
    found = boxes_of(tmp_path, FOLDERS | {"boxes.csv": table.replace("{}", FIRST)})
    assert found == {FIRST: pytest.approx(box)}


VOC = """<annotation><size><width>200</width><height>100</height></size>
<object><name>Monarch</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40.5</xmax><ymax>60</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [{"id": 7 + n, "file_name": name, "width": 200, "height": 100} for n, name in enumerate(FOLDERS)],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30.5, 40]},
        {"image_id": 9, "category_id": 2, "bbox": []},
    ],
    "categories": [{"id": 1, "name": "Monarch"}, {"id": 2, "name": "Peacock"}],
}
LABEL_STUDIO = [
    {
        "data": {"image": FIRST},
        "annotations": [
            {
                "result": [
                    {"value": {"x": 5, "y": 20, "width": 15.25, "height": 40, "rectanglelabels": ["Monarch"]}},
                ]
            }
        ],
    }
]
LABELME = {"shapes": [{"label": "Monarch", "points": [[10, 60], [40.5, 20]]}], "imageWidth": 200, "imageHeight": 100}


@pytest.mark.parametrize(
    ("file", "content", "box"),
    [
        ("Monarch/0.xml", VOC, (10, 20, 40.5, 60, 200, 100)),
        ("coco.json", json.dumps(COCO), (10, 20, 40.5, 60, 200, 100)),
        ("tasks.json", json.dumps(LABEL_STUDIO), (5, 20, 20.25, 60, 100, 100)),
        ("Monarch/0.json", json.dumps(LABELME), (10, 20, 40.5, 60, 200, 100)),
        ("Monarch/0.txt", "0 0.125 0.4 0.15 0.4\n", (0.05, 0.2, 0.2, 0.6, 1, 1)),
        ("Monarch/0.txt", "0 0.05 0.2 0.2 0.3 0.1 0.6\n", (0.05, 0.2, 0.2, 0.6, 1, 1)),
    ],
    ids=["voc", "coco", "label_studio", "labelme", "yolo_box", "yolo_outline"],
)
def test_annotations_of_programs_give_boxes(tmp_path: Path, file: str, content: str, box: tuple[float, ...]) -> None:
    assert boxes_of(tmp_path, FOLDERS | {file: content}, layout="leaf") == {FIRST: pytest.approx(box)}


def test_boxes_of_cub(tmp_path: Path) -> None:
    names = list(FOLDERS)
    texts = {
        "images.txt": "".join(f"{n} {name}\n" for n, name in enumerate(names, 1)),
        "image_class_labels.txt": "".join(f"{n} {(n + 1) // 2}\n" for n in range(1, 5)),
        "bounding_boxes.txt": "".join(f"{n} {n}.0 20.0 30.0 40.0\n" for n in range(1, 5)),
    }
    found = boxes_of(tmp_path, FOLDERS | texts)
    assert found == {name: (n, 20, 30 + n, 60, 0, 0) for n, name in enumerate(names, 1)}


@pytest.mark.parametrize(
    ("table", "build", "box"),
    [
        # 10, 20 to 30, 40 as well as 30 wide and 40 high.
        ('filename,bbox\n{},"10,20,30,40"\n', {}, None),
        ('filename,bbox\n{},"10,20,30,40"\n', {"box_format": "xywh"}, (10, 20, 40, 60, 0, 0)),
        ('filename,bbox\n{},"10,20,30,40"\n', {"box_format": "xyxy"}, (10, 20, 30, 40, 0, 0)),
        # In shares: a corner as well as a centre.
        ("filename,x,y,w,h\n{},0.4,0.5,0.3,0.4\n", {}, None),
        ("filename,x,y,w,h\n{},0.4,0.5,0.3,0.4\n", {"box_format": "cxcywh"}, (0.25, 0.3, 0.55, 0.7, 1, 1)),
        # The same size for all: of the box, or of the photos.
        ("filename,x,y,width,height\n{},1,2,640,480\nMonarch/1.jpg,5,6,640,480\n", {}, None),
    ],
    ids=["list", "chosen_xywh", "chosen_xyxy", "shares", "chosen_cxcywh", "size_of_all"],
)
def test_what_has_two_readings_is_not_used_but_said(
    tmp_path: Path, table: str, build: dict[str, str], box: tuple[float, ...] | None
) -> None:
    members = FOLDERS | {"boxes.csv": table.replace("{}", FIRST)}
    assert boxes_of(tmp_path, members, **build).get(FIRST) == box
    notes = listing_of(tmp_path, members, **build).notes
    assert any("build.box_format" in note for note in notes) == (box is None)


def test_a_data_set_with_boxes_is_another_one(tmp_path: Path) -> None:
    row = f"filename,xmin,ymin,xmax,ymax\n{FIRST},10,20,30,40\n"
    assert (
        listing_of(tmp_path, FOLDERS | {"boxes.csv": row}).fingerprint
        != listing_of(tmp_path, FOLDERS | {"boxes.csv": row}, ignore="boxes.csv").fingerprint
    )


def test_several_boxes_of_a_photo_count_together(tmp_path: Path) -> None:
    rows = f"filename,xmin,ymin,xmax,ymax\n{FIRST},20,10,60,50\n{FIRST},40,5,80,20\n"
    # Another annotation of it, in shares.
    members = FOLDERS | {"boxes.csv": rows, "Monarch/0.txt": "0 0.1 0.3 0.1 0.2\n"}
    [member] = (member for member in listing_of(tmp_path, members, layout="leaf").members if member.boxes)
    assert len(member.boxes) == 3
    shares, problem = photo_tasks._shares(member.boxes, photo.Source((200, 100), "", Image.Exif()))
    assert not problem and shares == pytest.approx([0.05, 0.05, 0.4, 0.5])
    shares, problem = photo_tasks._shares(member.boxes, photo.Source((70, 100), "", Image.Exif()))
    assert shares is None and problem == photo_tasks.OUTSIDE


@pytest.mark.parametrize("odd", ["-2", "NA", "nan"])
def test_numbers_of_boxes_name_no_photos(tmp_path: Path, odd: str) -> None:
    """Though photos have numbers for names, and one of the boxes is wrong."""
    photos = {f"{species}/{n:04}.jpg": b"x" for species in ("Monarch", "Peacock") for n in range(1, 10)}
    rows = [f"{name},{name.split('/')[0]},{odd if n == 0 else 3},{n % 2},40,50" for n, name in enumerate(photos)]
    table = "\n".join(["filename,species,xmin,ymin,xmax,ymax", *rows, ""])
    assert len(boxes_of(tmp_path, photos | {"boxes.csv": table})) == (18 if odd == "-2" else 17)


# Values of EXIF's orientation.
UPRIGHT, FLIPPED, ROTATED = 1, 2, 6


@pytest.mark.parametrize(
    ("box", "size", "orientation", "expected"),
    [
        ((20, 10, 60, 50, 0, 0), (200, 100), UPRIGHT, [0.1, 0.1, 0.3, 0.5]),
        # The table knows a larger copy of the photo.
        ((40, 20, 120, 100, 400, 200), (200, 100), UPRIGHT, [0.1, 0.1, 0.3, 0.5]),
        ((0.1, 0.1, 0.3, 0.5, 1, 1), (200, 100), UPRIGHT, [0.1, 0.1, 0.3, 0.5]),
        ((10, 10, 30, 50, 100, 100), (200, 100), ROTATED, [0.1, 0.1, 0.3, 0.5]),
        # A little outside is rounding.
        ((-1, 0, 201, 100, 0, 0), (200, 100), UPRIGHT, [0, 0, 1, 1]),
        ((20, 10, 260, 50, 0, 0), (200, 100), UPRIGHT, photo_tasks.OUTSIDE),
        ((20, 10, 20, 50, 0, 0), (200, 100), UPRIGHT, "is empty"),
        ((20, 10, 60, 50, 300, 200), (200, 100), UPRIGHT, "is of a photo of another shape"),
        # Turned: of the upright photo only where its size says so.
        ((20, 10, 60, 50, 200, 100), (200, 100), ROTATED, [0.1, 0.1, 0.3, 0.5]),
        ((20, 10, 60, 50, 100, 200), (200, 100), ROTATED, photo_tasks.TURNED),
        ((20, 10, 60, 50, 0, 0), (200, 100), ROTATED, photo_tasks.TURNED),
        ((20, 10, 60, 50, 200, 100), (200, 100), FLIPPED, photo_tasks.TURNED),
        ((0.1, 0.1, 0.3, 0.5, 1, 1), (200, 100), ROTATED, photo_tasks.TURNED),
    ],
)
def test_a_box_becomes_shares_of_the_upright_photo(
    box: tuple[float, ...], size: tuple[int, int], orientation: int, expected: Any
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    shares, problem = photo_tasks._shares([box], photo.Source(size, "", exif))
    assert problem == expected if isinstance(expected, str) else shares == pytest.approx(expected)
