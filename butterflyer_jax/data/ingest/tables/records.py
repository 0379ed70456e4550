"""Tables in JSON and spreadsheets: lists of objects, COCO, Label Studio, and plain maps."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from butterflyer_jax.data.ingest.tables.columns import LABEL, Table, last_part, named

MAX_SAMPLE = 50
SEVERAL = "\0several"


def from_json_lines(text: str, name: str, names_photo: Any) -> list[Table]:
    """Returns the table of a file with one JSON object a line.

    Raises:
      ValueError: a line is no JSON.
    """
    return _of_objects([json.loads(line) for line in text.splitlines() if line.strip()], name)


def from_json(text: str, name: str, names_photo: Any) -> list[Table]:
    """Returns the tables in a JSON file.

    Known are COCO, Label Studio, lists of objects (anywhere in the file), maps of photographs to labels or objects,
    maps of labels to photographs, and what pandas writes.

    Args:
      text: the file's.
      name: its path.
      names_photo: holds the file names of photographs.

    Raises:
      ValueError: no JSON.
    """
    value = json.loads(text)
    if isinstance(value, dict) and _is_list(value.get("images")) and _is_list(value.get("annotations")):
        return _coco(value, name)
    if _is_list(value) and any("annotations" in task and isinstance(task.get("data"), dict) for task in value):
        return [_table(name, [_label_studio(task) for task in value])]
    if _is_list(value):
        return _of_objects(value, name)
    if not isinstance(value, dict):
        return []
    keys = list(value)
    sample = keys[:MAX_SAMPLE]
    if sample and 2 * sum(last_part(str(key)) in names_photo for key in sample) > len(sample):
        rows = [
            {"file": key, **(_flat(item) if isinstance(item, dict) else {"label": item})} for key, item in value.items()
        ]
        return [_table(name, rows)]
    if keys and all(
        isinstance(files, list) and all(isinstance(file, str) for file in files) for files in value.values()
    ):
        rows = [{"file": file, "label": label} for label, files in value.items() for file in files]
        return [_table(name, rows)] if any(last_part(row["file"]) in names_photo for row in rows[:MAX_SAMPLE]) else []
    if keys and all(isinstance(column, dict) for column in value.values()) and _same_keys(value.values()):
        # pandas: {column: {row: cell}}
        rows = [{column: cells[row] for column, cells in value.items()} for row in next(iter(value.values()))]
        if named(_table(name, rows), LABEL):
            return [_table(name, rows)]
    found: list[Table] = []
    for key, item in value.items():
        if _is_list(item):
            found += _of_objects(item, f"{name}[{key}]")
    return found


def from_xlsx(data: bytes, name: str) -> list[tuple[str, list[list[str]]]]:
    """Returns the name and the rows of each sheet of a spreadsheet.

    Raises:
      ValueError: no spreadsheet.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except Exception as error:
        # Of zipfile, of XML, of its own.
        raise ValueError(f"no spreadsheet: {error}") from error
    try:
        sheets = [
            (sheet.title, [row for cells in sheet.iter_rows(values_only=True) if any(row := [*map(_cell, cells)])])
            for sheet in book.worksheets
        ]
    finally:
        book.close()
    used = [(title, rows) for title, rows in sheets if rows]
    return [(name if len(used) == 1 else f"{name}[{title}]", rows) for title, rows in used]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _same_keys(columns: Iterable[Mapping[str, Any]]) -> bool:
    keys = [set(column) for column in columns]
    return bool(keys[0]) and all(some == keys[0] for some in keys)


def _of_objects(rows: Sequence[Any], name: str) -> list[Table]:
    return [_table(name, [_flat(row) for row in rows])] if rows and all(isinstance(row, dict) for row in rows) else []


def _flat(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns an object without nesting: {"a": {"b": 1}} as {"a.b": 1}; a list of one counts as what is in it."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict):
            flat |= _flat(value, name)
        elif not isinstance(value, list):
            flat[name] = value
    return flat


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(name, tuple(columns), [[_cell(row.get(column)) for column in columns] for row in rows])


def _coco(value: Mapping[str, Any], name: str) -> list[Table]:
    """Returns a row a picture; of several categories of one picture none is its label."""
    categories = {item.get("id"): str(item.get("name", item.get("id"))) for item in value.get("categories") or []}
    labels: dict[Any, set[str]] = defaultdict(set)
    for item in value["annotations"]:
        if "category_id" in item:
            labels[item.get("image_id")].add(categories.get(item["category_id"], str(item["category_id"])))
    rows = []
    for image in value["images"]:
        found = labels[image.get("id")]
        label = found.pop() if len(found) == 1 else SEVERAL if found else ""
        rows.append(
            {**_flat(image), "file_name": image.get("file_name", image.get("path", image.get("id"))), "label": label}
        )
    return [_table(name, rows)]


def _label_studio(task: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row of a task: what was annotated, and the one class that was chosen."""
    chosen: set[str] = set()
    for annotation in task.get("annotations") or []:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or []:
            value = result.get("value") or {}
            for kind in ("choices", "rectanglelabels", "polygonlabels", "brushlabels", "labels", "taxonomy"):
                for item in value.get(kind) or []:
                    chosen.add(str(item[-1] if isinstance(item, list) else item))
    label = chosen.pop() if len(chosen) == 1 else SEVERAL if chosen else ""
    return {**_flat(task["data"]), "label": label}
