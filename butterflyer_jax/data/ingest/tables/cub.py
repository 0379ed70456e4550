"""Tables of CUB-200 and data sets in its format: images.txt numbers the photos, other files have labels and splits.

Source: https://www.vision.caltech.edu/datasets/cub_200_2011/
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Sequence

from butterflyer_jax.data.ingest.tables.columns import Table

IMAGES = "images.txt"
COLUMNS = {
    "image_class_labels.txt": ("label",),
    "train_test_split.txt": ("is_training_image",),
    "bounding_boxes.txt": ("x", "y", "w", "h"),
}


def join(tables: Sequence[Table]) -> list[Table]:
    """Returns the tables, with those beside an images.txt joined to it as columns.

    Args:
      tables: all tables of a collection; those of CUB have no header.
    """
    by_name = {table.name: table for table in tables}
    joined: dict[str, Table] = {}
    used: set[str] = set()
    for table in tables:
        folder, file = posixpath.split(table.name)
        rows = _rows(table)
        # Numbers in CUB, long identifiers in NABirds.
        if file != IMAGES or not all(len(row) == 2 for row in rows) or len({row[0] for row in rows}) != len(rows):
            continue
        names, wide = ["image_id", "filename"], [list(row) for row in rows]
        for other, columns in COLUMNS.items():
            beside = by_name.get(posixpath.join(folder, other))
            values = {row[0]: row[1:] for row in _rows(beside) if len(row) == 1 + len(columns)} if beside else {}
            if beside and values.keys() >= {row[0] for row in rows}:
                names += columns
                wide = [[*row, *values[row[0]]] for row in wide]
                used.add(beside.name)
        if len(names) > 2:
            joined[table.name] = dataclasses.replace(table, columns=tuple(names), rows=wide, header=True)
    return [joined.get(table.name, table) for table in tables if table.name not in used]


def _rows(table: Table) -> list[Sequence[str]]:
    """Returns all rows, including the first, which was read as a header."""
    return [table.columns, *table.rows] if table.header else list(table.rows)
