"""Tables in JSON and spreadsheets: lists of objects, COCO, Label Studio, and plain maps."""

from __future__ import annotations

import io
import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import boxes, cells
from butterflyer_jax.data.ingest.tables.columns import FILE, LABEL, Table, last_part, make_table, named

MAX_SAMPLE = 50
# Depth of nested objects that are searched for tables.
MAX_DEPTH = 4


def from_json_lines(text: str, name: str) -> list[Table]:
    """Returns the table of a file with one JSON object per line.

    Raises:
      ValueError: a line is not JSON.
    """
    return _of_objects([json.loads(line) for line in text.splitlines() if line.strip()], name)


def from_json(text: str, name: str, names_photo: Any) -> list[Table]:
    """Returns the tables in a JSON file.

    Supported: COCO, Label Studio, lists of objects or rows (anywhere in the file), maps of photos to labels or
    objects, maps of labels or splits to photos, the formats of pandas, and JSON lines.

    Args:
      text: content of the file.
      name: path of the file.
      names_photo: container of the file names of photos.

    Raises:
      ValueError: the text is not JSON.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return from_json_lines(text, name)
        raise
    return _tables_in(value, name, names_photo, 0)


def _tables_in(value: Any, name: str, names_photo: Any, depth: int) -> list[Table]:
    if depth > MAX_DEPTH or not value or not isinstance(value, (list, dict)):
        return []
    if isinstance(value, list):
        return _in_list(value, name)
    if _is_list(value.get("images")) and _is_list(value.get("annotations")):
        return _coco(value, name)
    assets = [value] if isinstance(value.get("regions"), list) else _values(value.get("assets"))
    if assets and all(isinstance(asset, dict) and isinstance(asset.get("asset"), dict) for asset in assets):
        return [table(name, [_vott(asset) for asset in assets])]
    classes, labels = value.get("classes"), value.get("labels")
    if isinstance(classes, list) and isinstance(labels, dict) and len(labels) > len(classes):
        # FiftyOne: https://docs.voxel51.com/user_guide/import_datasets.html
        return [table(name, [{"file": key, **_of_class(item, classes)} for key, item in labels.items()])]
    keys = list(value)
    sample = keys[:MAX_SAMPLE]
    if 2 * sum(_is_photo(key, names_photo) for key in sample) > len(sample):
        rows = [
            {"file": key, **cells.flat(item if isinstance(item, dict) else {"label": item})}
            for key, item in value.items()
        ]
        return [table(name, rows)]
    if _is_of_columns(value):
        # {"filename": [...], "label": [...]}, and {"columns": [...], "data": [[...], ...]} of pandas.
        heads, lines = (
            (value["columns"], value["data"]) if "data" in value else (keys, zip(*value.values(), strict=True))
        )
        return [table(name, [dict(zip(map(str, heads), row, strict=True)) for row in lines])]
    if all(isinstance(files, list) and all(isinstance(file, str) for file in files) for files in value.values()):
        what = "split" if all(words.split_of(key) for key in keys) else "label"
        rows = [{"file": file, what: key} for key, files in value.items() for file in files]
        known = any(last_part(row["file"]) in names_photo for row in rows[:MAX_SAMPLE])
        return [table(name, rows)] if known or what == "split" else []
    if all(isinstance(column, dict) for column in value.values()) and _same_keys(value.values()):
        # pandas: {column: {row: cell}}, or {row: {column: cell}} as of the VGG Image Annotator.
        by_row = table(name, [cells.flat(row) for row in value.values()])
        if any(words.squeeze(column) in FILE for column in by_row.columns) and named(by_row, LABEL):
            return [by_row]
        rows = [{column: of_row[row] for column, of_row in value.items()} for row in next(iter(value.values()))]
        if named(table(name, rows), LABEL):
            return [table(name, rows)]
    found: list[Table] = []
    for key, item in value.items():
        found += _tables_in(item, f"{name}[{key}]", names_photo, depth + 1)
    return found


def _is_of_columns(value: Mapping[str, Any]) -> bool:
    lists = [item for item in value.values() if isinstance(item, list)]
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        return all(isinstance(row, list) and len(row) == len(value["columns"]) for row in value["data"])
    spelt = {words.squeeze(key) for key in value}
    same = len(lists) == len(value) and len({len(item) for item in lists}) == 1
    return same and not spelt.isdisjoint(FILE) and not spelt.isdisjoint(LABEL)


def _in_list(value: list[Any], name: str) -> list[Table]:
    if _is_list(value) and any("annotations" in task and isinstance(task.get("data"), dict) for task in value):
        return [table(name, [_label_studio(task) for task in value])]
    if all(isinstance(row, list) and len(row) > 1 and not any(isinstance(cell, (list, dict)) for cell in row)
           for row in value):  # fmt: skip
        # [[photo, label], …], with a header or without; StyleGAN's dataset.json has them under "labels".
        rows = [[cells.text_of(cell) for cell in row] for row in value]
        if name.endswith("[labels]") and all(len(row) == 2 for row in rows):
            rows = [["file", "label"], *rows]
        is_header = not any(posixpath.splitext(cell)[1].lower() in image_format.SUFFIXES for cell in rows[0])
        made = make_table(name, rows, no_header=not is_header)
        return [made] if made else []
    return _of_objects(value, name)


def _is_photo(key: str, names_photo: Any) -> bool:
    """Returns whether a key is the name of a photo; a number is not, as it may be that of a class."""
    return last_part(key) in names_photo or (not key.isdigit() and bool(names_photo.find(key, identifiers=False)))


def from_xlsx(data: bytes, name: str) -> list[tuple[str, list[list[str]]]]:
    """Returns the name and the rows of each sheet of a spreadsheet.

    Raises:
      ValueError: the file is not a spreadsheet.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except Exception as error:
        # Errors of zipfile, of XML, and its own.
        raise ValueError(f"not a spreadsheet: {error}") from error
    try:
        sheets = [
            (
                sheet.title,
                [row for values in sheet.iter_rows(values_only=True) if any(row := [*map(cells.text_of, values)])],
            )
            for sheet in book.worksheets
        ]
    finally:
        book.close()
    used = [(title, rows) for title, rows in sheets if rows]
    return [(name if len(used) == 1 else f"{name}[{title}]", rows) for title, rows in used]


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


def _same_keys(columns: Iterable[Mapping[str, Any]]) -> bool:
    keys = [set(column) for column in columns]
    return bool(keys[0]) and all(some == keys[0] for some in keys)


def _of_objects(rows: Sequence[Any], name: str) -> list[Table]:
    return (
        [table(name, [cells.flat(row) for row in rows])] if rows and all(isinstance(row, dict) for row in rows) else []
    )


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Returns the table of objects, with a column for each of their keys."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, tuple(columns), [[cells.text_of(row.get(column)) for column in columns] for row in rows])


def _coco(value: Mapping[str, Any], name: str) -> list[Table]:
    """Returns one row per image; an image with several categories has no label."""
    categories = {item.get("id"): str(item.get("name", item.get("id"))) for item in value.get("categories") or []}
    labels: dict[Any, set[str]] = defaultdict(set)
    found_boxes: dict[Any, list[boxes.Box]] = defaultdict(list)
    sizes = {
        image.get("id"): (_positive(image.get("width")), _positive(image.get("height"))) for image in value["images"]
    }
    for item in value["annotations"]:
        if "category_id" in item:
            labels[item.get("image_id")].add(categories.get(item["category_id"], str(item["category_id"])))
        if cells.is_four(item.get("bbox")):
            left, top, width, height = map(float, item["bbox"])
            unit = sizes.get(item.get("image_id"), (0.0, 0.0))
            found_boxes[item.get("image_id")].append((left, top, left + width, top + height, *unit))
    rows = []
    for image in value["images"]:
        found = labels[image.get("id")]
        label = found.pop() if len(found) == 1 else cells.SEVERAL if found else ""
        name_of_file = image.get("file_name", image.get("path", image.get("id")))
        rows.append(
            {
                **cells.flat(image),
                "file_name": name_of_file,
                "label": label,
                **boxes.as_cells(found_boxes[image.get("id")]),
            }
        )
    return [table(name, rows)]


def _vott(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row of an asset of VoTT: https://github.com/microsoft/VoTT#exporting-labels."""
    regions = [region for region in asset.get("regions") or [] if isinstance(region, dict)]
    size = asset["asset"].get("size") or {}
    found = []
    for region in regions:
        box = region.get("boundingBox") or {}
        sides: list[Any] = [box.get(side) for side in ("left", "top", "width", "height")]
        if cells.is_four(sides):
            left, top, width, height = map(float, sides)
            unit = _positive(size.get("width")), _positive(size.get("height"))
            found.append((left, top, left + width, top + height, *unit))
    label = cells.one_of(tag for region in regions for tag in region.get("tags") or [])
    return {"file": asset["asset"].get("name", ""), "label": label, **boxes.as_cells(found)}


def _of_class(item: Any, classes: Sequence[Any]) -> dict[str, Any]:
    """Returns the cells of a label, which may be the position of a class."""
    if isinstance(item, dict):
        return cells.flat(item)
    return {"label": classes[item] if isinstance(item, int) and 0 <= item < len(classes) else item}


def _label_studio(task: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row of a task: its data, and the one class that was chosen."""
    chosen: list[str] = []
    found: list[boxes.Box] = []
    for annotation in task.get("annotations") or []:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            value = result.get("value") or {}
            sides: list[Any] = [value.get(name) for name in ("x", "y", "width", "height")]
            if value.get("rectanglelabels") and not value.get("rotation") and cells.is_four(sides):
                left, top, width, height = sides
                # In percent.
                found.append((left, top, left + width, top + height, 100.0, 100.0))
            chosen += cells.chosen_classes(value)
    return {**cells.flat(task["data"]), "label": cells.one_of(chosen), **boxes.as_cells(found)}


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
