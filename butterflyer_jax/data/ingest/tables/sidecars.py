"""Annotations in one file per photo: YOLO boxes, Pascal VOC XML, JSON of labelme, classes of WebDataset, values."""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import boxes, cells, records, xml_files
from butterflyer_jax.data.ingest.tables.cells import SEVERAL
from butterflyer_jax.data.ingest.tables.columns import LABEL, Table

SUFFIXES = frozenset([".txt", ".xml", ".json", ".cls"])
# Largest annotation of one photo, bytes.
MAX_BYTES = 1 << 20
# Longest line of a text that may be a label, characters.
MAX_LABEL = 60
# Number of files of a kind that are examined to decide whether they are annotations.
_SAMPLE = 20
# A class, then a box or the vertices of an outline.
_YOLO = re.compile(r"(\d+)((?:\s+-?\d*\.?\d+(?:e-?\d+)?){4,})", re.IGNORECASE)
_VOC = re.compile(r"<object>.*?<name>\s*(.*?)\s*</name>", re.DOTALL)
_VOC_BOX = re.compile(r"<bndbox>(.*?)</bndbox>", re.DOTALL)
_VOC_NUMBER = r"<{}>\s*(-?\d+(?:\.\d+)?)\s*</{}>"
_FOLDERS = frozenset(
    ["labels", "label", "annotations", "annotation", "xml", "xmls", "txt", "json", "jsons", "ann", "img"]
)


def pair(files: Iterable[str], photos: Iterable[str]) -> dict[str, str]:
    """Returns the photo of each file with the same name except the suffix, beside it or in a folder of labels.

    Args:
      files: paths of text, XML and JSON files.
      photos: paths of photos.
    """
    wanted = [file for file in files if posixpath.splitext(file)[1].lower() in SUFFIXES]
    if not wanted:
        return {}
    by_key: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for photo in photos:
        by_key[_key(photo)].append(photo)
    found = {file: by_key.get(_key(file), []) for file in wanted}
    # Supervisely has ann/1.jpg.json for img/1.jpg.
    found |= {
        file: by_key.get(_key(posixpath.splitext(file)[0]), [])
        for file, same in found.items()
        if not same and names_a_photo(file)
    }
    return {file: same[0] for file, same in found.items() if len(same) == 1}


def read(pairs: Mapping[str, str], read_text: Callable[[str], str], used: set[str]) -> list[Table]:
    """Returns one table per kind of annotation, with the one class of each photo.

    Args:
      pairs: photo by file, from `pair`.
      read_text: returns the text of a file; raises an exception if the file is no text or damaged.
      used: receives the files that are annotations.
    """
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in pairs:
        by_kind[posixpath.dirname(file), posixpath.splitext(file)[1].lower()].append(file)
    tables = []
    for (folder, suffix), files in by_kind.items():
        some = files[:: max(1, len(files) // _SAMPLE)]
        sample = [_read(file, read_text) for file in some]
        if None in sample or not any(found and found[0] for found in sample):
            if values := _values(files, some, read_text):
                used |= set(files)
                rows_of_values = [{"file": pairs[file], **own} for file, own in values.items()]
                tables.append(records.table(posixpath.join(folder, f"*{suffix}"), rows_of_values))
            continue
        used |= set(files)
        rows = []
        for file in files:
            classes, box = _read(file, read_text) or (set(), None)
            label = SEVERAL if len(classes) > 1 else next(iter(classes), "")
            rows.append([pairs[file], label, *boxes.cells(box)])
        width = 2 + (len(boxes.COLUMNS) if any(any(row[2:]) for row in rows) else 0)
        columns = ("file", "label", *boxes.COLUMNS)[:width]
        tables.append(Table(posixpath.join(folder, f"*{suffix}"), columns, [row[:width] for row in rows]))
    return tables


def names_a_photo(file: str) -> bool:
    """Returns whether a file is named by a whole photo name, as "1.jpg.json"."""
    return posixpath.splitext(posixpath.splitext(file)[0])[1].lower() in image_format.SUFFIXES


def _key(path: str) -> tuple[str, ...]:
    *folders, name = path.split("/")
    kept = [folder for folder in folders if not (words.is_container(folder) or folder.lower() in _FOLDERS)]
    return (*kept, posixpath.splitext(name)[0])


def _read(file: str, read_text: Callable[[str], str]) -> tuple[set[str], boxes.Box | None] | None:
    """Returns the classes in an annotation and the box around all of them, None for a text that is not one."""
    suffix = posixpath.splitext(file)[1].lower()
    try:
        text = read_text(file)
    except Exception:
        # Each compression method raises its own errors for damaged data.
        return None
    if suffix == ".xml":
        if "<annotation" not in text:
            return None
        return {html.unescape(name) for name in _VOC.findall(text)}, _voc_box(text)
    if suffix == ".json":
        try:
            value = json.loads(text)
        except ValueError:
            return None
        if isinstance(value, dict) and all(isinstance(value.get(key), list) for key in ("tags", "objects")):
            return _supervisely(value)
        shapes = value.get("shapes") if isinstance(value, dict) else None
        if not isinstance(shapes, list):
            return None
        named = [shape for shape in shapes if isinstance(shape, dict) and shape.get("label")]
        size = _number(value.get("imageWidth")), _number(value.get("imageHeight"))
        return {str(shape["label"]) for shape in named}, boxes.union(
            box for shape in named if (box := _around(shape.get("points"), size))
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if suffix == ".cls":
        return set(lines), None
    found = [match for line in lines if (match := _YOLO.fullmatch(line))]
    if len(found) < len(lines):
        return None
    return {match[1] for match in found}, boxes.union(
        _yolo_box([float(n) for n in match[2].split()]) for match in found
    )


def _values(files: Sequence[str], sample: Sequence[str], read_text: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    """Returns the values in files of a kind that are about one photo each, by file; {} where none is a label.

    A text of one line is such a value; it is a label for certain where all are scientific names.
    """
    if posixpath.splitext(files[0])[1].lower() != ".txt":
        found = {file: _values_of(file, read_text) for file in sample}
        labelled = all(any(words.squeeze(key) in LABEL for key in own) for own in found.values())
        return {file: _values_of(file, read_text) for file in files} if labelled else {}
    lines: dict[str, str] = {}
    for file in files:
        try:
            lines[file] = read_text(file).strip()
        except Exception:
            # As in `_read`.
            lines[file] = ""
    distinct = set(lines.values())
    # Captions and remarks are all different, or long.
    if max(map(len, distinct)) > MAX_LABEL or "\n" in "".join(distinct) or 2 * len(distinct) > len(files) > 1:
        return {}
    column = "label" if words.are_binomials(distinct - {""}) else "text"
    return {file: {column: line} for file, line in lines.items()} if len(distinct) > 1 else {}


def _values_of(file: str, read_text: Callable[[str], str]) -> dict[str, Any]:
    """Returns the values of a JSON object or an XML file about a photo; {} for other files."""
    try:
        text = read_text(file)
        value = xml_files.values_in(text) if file.lower().endswith(".xml") else json.loads(text)
    except Exception:
        # As in `_read`.
        return {}
    flat = {key: item for key, item in cells.flat(value).items() if key != "file"} if isinstance(value, dict) else {}
    return flat if all(isinstance(item, str | int | float | None) for item in flat.values()) else {}


def _supervisely(value: Mapping[str, Any]) -> tuple[set[str], boxes.Box | None]:
    """Returns the classes in the tags and objects of Supervisely, and the box around the objects; splits are tags too.

    Source: https://docs.supervisely.com/data-organization/00_ann_format_navi
    """
    tags = [tag for tag in value["tags"] if isinstance(tag, dict)]
    shown = [tag["value"] if isinstance(tag.get("value"), str) else str(tag.get("name", "")) for tag in tags]
    objects = [item for item in value["objects"] if isinstance(item, dict) and item.get("classTitle")]
    classes = {tag for tag in shown if not words.split_of(tag)} | {str(item["classTitle"]) for item in objects}
    of_photo = value.get("size") or {}
    size = _number(of_photo.get("width")), _number(of_photo.get("height"))
    outlines = [item["points"].get("exterior") for item in objects if isinstance(item.get("points"), dict)]
    return classes, boxes.union(box for outline in outlines if (box := _around(outline, size)))


def _voc_box(text: str) -> boxes.Box | None:
    def numbers(part: str, names: Sequence[str]) -> list[float]:
        found = [re.search(_VOC_NUMBER.format(name, name), part) for name in names]
        return [float(match[1]) for match in found if match]

    size = numbers(text, ["width", "height"])
    unit = (size[0], size[1]) if len(size) == 2 and min(size) > 0 else (0.0, 0.0)
    found = [numbers(part, ["xmin", "ymin", "xmax", "ymax"]) for part in _VOC_BOX.findall(text)]
    return boxes.union((four[0], four[1], four[2], four[3], *unit) for four in found if len(four) == 4)


def _yolo_box(numbers: Sequence[float]) -> boxes.Box:
    """Returns the box of a line behind its class: centre and size, or the corners of an outline, in shares."""
    if len(numbers) in (4, 5):
        x, y, width, height = numbers[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2, 1.0, 1.0
    xs, ys = numbers[0 : len(numbers) // 2 * 2 : 2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys), 1.0, 1.0


def _around(points: Any, size: tuple[float, float]) -> boxes.Box | None:
    try:
        xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    except (TypeError, ValueError):
        return None
    if len(xs) < 2:
        return None
    return min(xs), min(ys), max(xs), max(ys), *(size if min(size) > 0 else (0.0, 0.0))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
