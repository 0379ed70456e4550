"""Rows below a table that are about no photo: totals, and notes for people."""

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
    count anzahl average mean итого всего 合计 合計 总计
    """
    )
)
# Numbers of files and photos have a digit and no space: "IMG_12" and "12.jpg" are missing photos, "see page 12" is not.
_NAME = re.compile(r"\S*\d\S*|\S+\.[A-Za-z]\w{2,3}")


def without(table: Table, column: int, names_photo: Callable[[str], object]) -> tuple[Table, str]:
    """Returns a table without totals and notes at its end, and a note that names them, "" for none.

    Args:
      table: table of the collection.
      column: index of the column that names photos.
      names_photo: returns whether a cell names a photo.
    """
    end = len(table.rows)
    while end and len(table.columns) > 1 and _is_footer(table.rows[end - 1], column, names_photo):
        end -= 1
    left = table.rows[end:]
    if not left or not end:
        return table, ""
    shown = ", ".join(filter(None, left[0]))
    what = "the last row is" if len(left) == 1 else f"the last {len(left):,} rows are"
    return dataclasses.replace(table, rows=table.rows[:end]), f"{table.name}: {what} about no photo ({shown})"


def _is_footer(row: Sequence[str], column: int, names_photo: Callable[[str], object]) -> bool:
    filled = [cell for cell in row if not is_blank(cell)]
    cell = row[column]
    if not filled or (cell and names_photo(cell)):
        return False
    if words.squeeze(re.sub(r"[\d\W]+", " ", filled[0])) in _TOTALS:
        return True
    # A note stands alone in its row, and reads as words.
    return len(filled) == 1 and filled[0] == cell and not _NAME.fullmatch(cell)
