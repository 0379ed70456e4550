"""Columns that are no label by their cells, whatever they are called: dates, measures, sexes, places, families."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders import circumstances
from butterflyer_jax.data.ingest.tables import columns
from butterflyer_jax.data.ingest.tables.columns import Table

_DATE = re.compile(r"(?:19|20)\d\d[-/.]\d\d?[-/.]\d\d?(?:[T ].*)?|\d\d?[-/.]\d\d?[-/.](?:19|20)?\d\d(?: .*)?")
_DECIMAL = re.compile(r"-?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|-?\.\d+")


def are_no_species(cells: Sequence[str]) -> bool:
    """Returns whether cells are dates, sexes, places and the like, or numbers, some with a fraction: measures."""
    values = {cell for cell in cells if not columns.is_blank(cell)}
    measured = all(map(_DECIMAL.fullmatch, values))
    return (
        all(map(_DATE.fullmatch, values))
        or all(map(circumstances.is_circumstance, values))
        or (measured and any(float(value.replace(",", ".")) % 1 for value in values))
    )


def are_higher_taxa(table: Table, rows: Sequence[int], column: int, taken: Collection[int]) -> bool:
    """Returns whether a column has families or orders alone, and another has scientific names below them."""
    values = {value for row in rows if not columns.is_blank(value := table.rows[row][column])}
    others = [
        {value for row in rows if not columns.is_blank(value := table.rows[row][other])}
        for other in range(len(table.columns))
        if other not in (column, *taken)
    ]
    return all(map(words.is_rank, values)) and any(
        len(own) > len(values) and all(words.are_binomials([value]) for value in own) for own in others
    )
