"""Rows of a table that are about no photo: totals, headings and notes for people."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table, is_blank

_TOTALS = frozenset(
    words.listed(
        """
    total totals grandtotal subtotal sum summe gesamt insgesamt gesamtsumme somme totale totaux totaal som suma razem
    count anzahl average mean zwischensumme soustotal итого всего 合计 合計 总计
    """
    )
)
# Numbers of files and photos have a digit and no space: "IMG_12" and "12.jpg" are missing photos, "see page 12" is not.
_NAME = re.compile(r"\S*\d\S*|\S+\.[A-Za-z]\w{2,3}")


def without(table: Table, column: int, names_photo: Callable[[str], object]) -> tuple[Table, str]:
    """Returns a table without totals, headings and notes, and a note that names them, "" for none.

    Args:
      table: table of the collection.
      column: index of the column that names photos.
      names_photo: returns whether a cell names a photo.
    """
    if len(table.columns) < 2:
        return table, ""
    left = [number for number, row in enumerate(table.rows) if _is_footer(row, column, names_photo)]
    kept = len(table.rows) - len(left)
    if not left or not kept:
        return table, ""
    shown = ", ".join(filter(None, table.rows[left[0]]))
    where = "the last " if left[0] == kept else ""
    what = f"{where or 'a '}row is" if len(left) == 1 else f"{where}{len(left):,} rows are"
    out = set(left)
    rows = [row for number, row in enumerate(table.rows) if number not in out]
    return dataclasses.replace(table, rows=rows), f"{table.name}: {what} about no photo ({shown})"


def _is_footer(row: Sequence[str], column: int, names_photo: Callable[[str], object]) -> bool:
    filled = [cell for cell in row if not is_blank(cell)]
    if not filled:
        return False
    cell = row[column]
    spelt = re.sub(r"[\d\W]+", " ", filled[0])
    is_name = _NAME.fullmatch(cell)
    is_total = words.squeeze(spelt) in _TOTALS or (
        not is_name and words.squeeze(spelt.strip().partition(" ")[0]) in _TOTALS
    )
    # A heading or a note stands alone in its row, and reads as words.
    is_note = len(filled) == 1 and filled[0] == cell and not is_name
    return (is_total or is_note) and not (cell and names_photo(cell))
