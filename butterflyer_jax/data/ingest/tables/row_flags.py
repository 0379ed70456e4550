"""Columns by which people mark rows that they do not want, and rows whose species is absent."""

from __future__ import annotations

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.meaning import Meaning
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
# Columns that say whether, or how many times, the species of a row is there.
_PRESENCE = frozenset(
    words.listed(
        """
    presence present ispresent occurrencestatus detected detection presenceabsence individualcount count counts
    numberofindividuals individuals abundance organismquantity anzahl nombre
    """
    )
)
ABSENT = "absent"
_ABSENT = NO - {""} | {"absent", "absence", "not detected", "notdetected"}


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


def mark_absences(meaning: Meaning) -> None:
    """Replaces the label of each row whose species is absent by a column: "file,species,presence" with 0.

    As for other labels that name no species, the user is asked what they mean.
    """
    table = meaning.table
    for column, name in enumerate(table.columns):
        if words.squeeze(name.rpartition(":")[2]) not in _PRESENCE or name == meaning.label_name:
            continue
        absent = [row[column].strip().casefold() in _ABSENT for row in table.rows]
        if any(absent) and not all(absent):
            meaning.labels = [
                ABSENT if label and is_absent else label
                for label, is_absent in zip(meaning.labels, absent, strict=True)
            ]
            meaning.label_name += f", and {ABSENT} by {name}"
