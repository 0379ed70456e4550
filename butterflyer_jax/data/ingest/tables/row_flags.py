"""Columns by which people mark rows: as not wanted, as doubtful, or that their species is absent."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import columns
from butterflyer_jax.data.ingest.tables.cells import SEVERAL
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.meaning import Meaning
from butterflyer_jax.data.ingest.tables.split_columns import NO, YES

# Columns of yes and no that leave rows out, and those that take them.
_EXCLUDES = frozenset(
    words.listed(
        """
    exclude excluded isexcluded discard discarded ignore ignored remove removed reject rejected skip skipped delete
    deleted isdeleted deleteflag unusable invalid
    """
    )
)
_TAKES = frozenset(
    words.listed(
        "use used usable keep kept include included correct iscorrect idcorrect labelcorrect approved isapproved"
    )
)
# Words in the cells of a column about the review of rows, by any name: "answer" of Prodigy, "status".
_REFUSED = frozenset(
    words.listed(
        """
    reject rejected ignore ignored exclude excluded discard discarded wrong incorrect invalid misidentified delete
    deleted remove removed declined disapproved
    """
    )
)
_REVIEWED = _REFUSED | frozenset(
    words.listed(
        """
    accept accepted approve approved correct valid validated verified confirmed ok keep kept include included use used
    pending unverified unreviewed reviewed open new done completed submitted
    """
    )
)
# Those that only say something about a row.
_DOUBTS = frozenset(
    words.listed("bad isbad duplicate isduplicate outlier isoutlier wrong unsure uncertain isuncertain")
)
_PRAISES = frozenset(
    words.listed(
        "accept accepted good verified isverified validated isvalidated certain iscertain confirmed isconfirmed"
    )
)
# Words in the name of a list of photos that are not to be used: "bad_images.txt".
_EXCLUSION = frozenset(
    words.listed(
        """
    bad badimages blacklist blacklisted corrupt corrupted broken damaged duplicate duplicates exclusions noisy outliers
    wrong mislabelled mislabeled misidentified blurry blurred unusable invalid
    """
    )
)
# Columns that say whether, or how many times, the species of a row is there.
_PRESENCE = frozenset(
    words.listed(
        """
    presence present ispresent occurrencestatus detected detection presenceabsence individualcount count counts
    numberofindividuals individuals abundance organismquantity anzahl nombre
    """
    )
)
_ABSENT = NO - {""} | {"absent", "absence", "not detected", "notdetected"}
# Labels of marked rows: the user is asked what they mean, as for others that name no species.
ABSENT, EXCLUDED = "absent", "excluded"


def is_exclusion(name: str) -> bool:
    """Returns whether the name of a list says that its photos are not to be used."""
    parts = map(words.squeeze, re.split(r"[\W_]+", PurePosixPath(name.partition("[")[0]).stem))
    return any(part in _EXCLUSION | _EXCLUDES for part in parts)


def notes(table: Table) -> list[str]:
    """Returns a note on each column that says of some rows of a table that they are doubtful."""
    found = []
    for column, name in enumerate(table.columns):
        marked = _marked(table, column, _DOUBTS, _PRAISES)
        if any(marked):
            found.append(
                f"the column {name} of {table.name} marks {sum(marked):,} of {len(marked):,} rows as unwanted, and "
                "they are used: to leave them out, remove rows and photos, or name the photos in build.ignore"
            )
    return found


def mark(meaning: Meaning) -> None:
    """Replaces the labels of rows whose species is absent, or which are not to be used, by a column that says so."""
    table = meaning.table
    for column, name in enumerate(table.columns):
        if name == meaning.label_name:
            continue
        counted = words.squeeze(name.rpartition(":")[2]) in _PRESENCE
        absent = [counted and cell.strip().casefold() in _ABSENT for cell in table.values(column)]
        excluded = _marked(table, column, _EXCLUDES, _TAKES)
        if not any(excluded):
            excluded = _refused(table, column)
        for label, marked in ((ABSENT, absent), (EXCLUDED, excluded)):
            if any(marked) and not all(marked):
                meaning.labels = [
                    label if old and is_marked else old for old, is_marked in zip(meaning.labels, marked, strict=True)
                ]
                meaning.label_name += f", and {label} by {name}"


def mark_several(meaning: Meaning) -> None:
    """Replaces the labels of rows that have another label in a further column: "species", "species_2"."""
    table = meaning.table
    first = words.squeeze(meaning.label_name).removesuffix("1")
    further = [
        n for n, name in enumerate(table.columns) if re.fullmatch(re.escape(first) + "[2-9]", words.squeeze(name))
    ]
    for column in further:
        cells = list(map(words.plain, table.values(column)))
        pairs = [pair for pair in zip(meaning.labels, cells, strict=True) if all(pair)]
        if 2 * len(pairs) > len(cells) and len(set(pairs)) == len(dict(pairs)) == len({other for _, other in pairs}):
            # Other names of the same species.
            continue
        meaning.labels = [
            label if columns.is_blank(cell) or cell == label or not label else SEVERAL
            for label, cell in zip(meaning.labels, cells, strict=True)
        ]


def _refused(table: Table, column: int) -> list[bool]:
    """Returns for each row whether its review refused it, where all cells of a column are words of reviews."""
    cells = list(map(words.squeeze, table.values(column)))
    return [cell in _REFUSED and set(cells) <= {*_REVIEWED, ""} for cell in cells]


def _marked(table: Table, column: int, if_yes: frozenset[str], if_no: frozenset[str]) -> list[bool]:
    """Returns for each row whether a column of yes and no marks it; none where it marks all."""
    spelt = words.squeeze(table.columns[column])
    cells = [cell.casefold() for cell in table.values(column)] if spelt in if_yes | if_no else []
    marked = [cell in (YES if spelt in if_yes else NO) for cell in cells]
    return marked if set(cells) <= YES | NO and not all(marked) else [False] * len(table.rows)
