"""Columns of yes and no by which people mark rows that they do not want: "exclude", "use", "bad"; named, not used."""

from __future__ import annotations

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.split_columns import NO, YES

_UNWANTED = frozenset(
    words.listed(
        """
    exclude excluded isexcluded discard discarded ignore ignored remove removed reject rejected skip skipped deleted
    isdeleted bad isbad unusable invalid duplicate isduplicate outlier isoutlier wrong unsure uncertain isuncertain
    """
    )
)
_WANTED = frozenset(words.listed("use used usable keep kept include included accept accepted good verified isverified"))


def notes(table: Table) -> list[str]:
    """Returns a note on each column that marks some rows of a table as not wanted."""
    found = []
    for column, name in enumerate(table.columns):
        spelt = words.squeeze(name)
        cells = [cell.casefold() for cell in table.values(column)] if spelt in _UNWANTED | _WANTED else []
        if not set(cells) <= YES | NO:
            continue
        marked = sum(cell in (YES if spelt in _UNWANTED else NO) for cell in cells)
        if 0 < marked < len(cells):
            found.append(
                f"the column {name} of {table.name} marks {marked:,} of {len(cells):,} rows as unwanted, and "
                "they are used: to leave them out, remove rows and photos, or name the photos in build.ignore"
            )
    return found
