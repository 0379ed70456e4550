"""Tables whose rows name several photos each, in one cell or in several columns."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.matching import PhotoNames

# Name of the column that numbers the former rows: the photos of a row are of one observation or specimen.
ROW = "one row"
_SAMPLE_ROWS = 300
_MIN_SHARE = 0.5
_CUT = re.compile(r"\s*[|;,\n]\s*|\s+(?=https?://)")


def lists_of_photos(table: Table, names: PhotoNames, among: Iterable[int] | None = None) -> list[int]:
    """Returns the columns whose cells list photos, as "1.jpg; 2.jpg" and the associatedMedia of Darwin Core."""
    step = max(1, len(table.rows) // _SAMPLE_ROWS)
    sample = table.rows[::step][:_SAMPLE_ROWS]
    found = []
    for column in range(len(table.columns)) if among is None else among:
        cells = [cell for row in sample if (cell := row[column].strip())]
        several = [cell for cell in cells if len(_parts(cell)) > 1]
        if not several or not any("." in cell for cell in several):
            continue
        named = [_names_photos(cell, table, names) for cell in cells]
        listed = sum(_names_photos(cell, table, names) and not _find(cell, table, names) for cell in several)
        if listed and sum(named) >= _MIN_SHARE * len(cells):
            found.append(column)
    return found


def unfold(table: Table, chosen: Sequence[int], names: PhotoNames) -> Table:
    """Returns a table with one photo per row, in the first of the chosen columns; the others are blank.

    Args:
      table: table whose rows name several photos.
      chosen: columns that name them.
      names: the photos.
    """
    rows = []
    for number, row in enumerate(table.rows):
        photos = [photo for column in chosen for photo in _cells(row[column], table, names)]
        rest = [("" if column in chosen else cell) for column, cell in enumerate(row)]
        for photo in photos or [""]:
            rest[chosen[0]] = photo
            rows.append([*rest, str(number + 1)])
    return dataclasses.replace(table, columns=(*table.columns, ROW), rows=rows)


def _parts(cell: str) -> list[str]:
    return [part for part in _CUT.split(cell.strip()) if part]


def _cells(cell: str, table: Table, names: PhotoNames) -> list[str]:
    """Returns the names in a cell: a comma may also be part of one name."""
    parts = _parts(cell)
    return parts if len(parts) > 1 and not _find(cell, table, names) else [cell] if cell.strip() else []


def _names_photos(cell: str, table: Table, names: PhotoNames) -> bool:
    parts = _cells(cell, table, names)
    return 2 * sum(bool(_find(part, table, names)) for part in parts) > len(parts)


def _find(cell: str, table: Table, names: PhotoNames) -> list[str]:
    if cell.count("://") > 1:
        return []
    # All folders of a URL may lie outside the collection.
    return names.find(cell, table.name, cell.count("/") if "://" in cell else 0, identifiers=False)
