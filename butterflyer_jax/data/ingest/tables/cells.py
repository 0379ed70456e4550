"""Values in the cells of tables and in JSON: lists of classes, nested objects, numbers."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table

SEVERAL = "\0several"
# Keys of classes in the results of Label Studio.
_CHOICES = ("choices", "rectanglelabels", "polygonlabels", "brushlabels", "labels", "taxonomy")
# Boxes in a cell: each a class, which is no number, and four numbers.
_CLASS = re.compile(r"\S*[^\W\d_]\S*")
_BOXED = re.compile(r"(?:\S*[^\W\d_]\S*(?:\s+-?\d+(?:\.\d+)?){4}\s*)+")


def expand(table: Table) -> Table:
    """Returns a table with what several values in a cell say as columns.

    These are the fields of JSON objects, as saved by the VGG Image Annotator and Zooniverse; the classes in a JSON list
    of Label Studio, which replace it; and the class of boxes such as "n01443537 1 2 30 40", as in the solutions of
    Kaggle's ImageNet.
    """
    found: dict[str, list[str]] = {}
    replaced = False
    columns = [table.values(column) for column in range(len(table.columns))]
    for position, column in enumerate(columns):
        cells = [cell.strip() for cell in column]
        filled = [cell for cell in cells if cell]
        if filled and all(map(_BOXED.fullmatch, filled)) and "label" not in table.columns:
            found["label"] = [one_of(_CLASS.findall(cell)) for cell in cells]
        elif filled and all(cell[0] in "[{" and cell[-1] in "]}" for cell in filled):
            values = [_parsed(cell) for cell in cells]
            if None in values:
                continue
            if all(isinstance(value, list) and all(isinstance(one, str) for one in value) for value in values if value):
                # Lists of photos or of labels, each read where its column is.
                columns[position], replaced = [";".join(value) for value in values], True
                continue
            if any(map(chosen_classes, values)):
                columns[position], replaced = [one_of(chosen_classes(value)) for value in values], True
                continue
            objects = [flat(_only(value)) for value in values]
            for key in dict.fromkeys(key for item in objects for key in item if key not in table.columns):
                found.setdefault(key, [text_of(item.get(key)) for item in objects])
    if not found and not replaced:
        return table
    rows = [list(row) for row in zip(*columns, *found.values(), strict=True)]
    return Table(table.name, (*table.columns, *found), rows, table.header)


def _parsed(cell: str) -> Any:
    """Returns the value of a cell in JSON or in Python's syntax; {} for a blank one, None for another text."""
    if not cell:
        return {}
    with contextlib.suppress(ValueError):
        return json.loads(cell)
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(cell)
    return None


def one_of(classes: Iterable[str]) -> str:
    """Returns the one class that occurs; SEVERAL for more, "" for none."""
    found = list(dict.fromkeys(classes))
    return SEVERAL if len(found) > 1 else "".join(found)


def chosen_classes(value: Any) -> list[str]:
    """Returns the classes in a result of Label Studio, or in a list of them."""
    items = value if isinstance(value, list) else [value]
    return [
        str(one[-1] if isinstance(one, list) else one)
        for item in items
        if isinstance(item, dict)
        for kind in _CHOICES
        if isinstance(item.get(kind), list)
        for one in item[kind]
    ]


def _only(value: Any) -> dict[str, Any]:
    """Returns the object in a JSON value: alone in a list, or under a number of its own, as subjects of Zooniverse."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and len(value) == 1:
        [(key, inner)] = value.items()
        value = inner if key.isdigit() and isinstance(inner, dict) else value
    return value if isinstance(value, dict) else {}


def flat(row: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns a flattened object: {"a": {"b": 1}} as {"a.b": 1}; a list of one item is replaced by the item.

    Several texts in a list are one text with semicolons between them.
    """
    result: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if words.squeeze(str(key)) in ("bbox", "box") and is_four(value):
            value = " ".join(map(str, value))
        if isinstance(value, dict):
            result |= flat(value, name)
        elif not isinstance(value, list):
            result[name] = value
        elif all(isinstance(one, str) for one in value):
            result[name] = ";".join(value)
    return result


def text_of(value: Any) -> str:
    """Returns a value as text; 1.0 is 1, and None is blank."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def is_four(value: Any) -> bool:
    """Returns whether a value is a list of four numbers, as boxes are."""
    return isinstance(value, list) and len(value) == 4 and all(isinstance(one, int | float) for one in value)
