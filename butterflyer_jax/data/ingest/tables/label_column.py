"""Choice of the label column of a table, by name and content."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import columns, no_labels
from butterflyer_jax.data.ingest.tables.cells import SEVERAL
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.file_column import is_numbers
from butterflyer_jax.data.ingest.tables.meaning import Meaning, Options
from butterflyer_jax.errors import UserError

# A sparse column beside a full one holds remarks.
MIN_COVERAGE = 0.8
# From this many rows on, a column of all different values is not a label.
MIN_UNIQUE_ROWS = 10
# Largest share of distinct values in an unnamed column of labels.
MAX_DISTINCT = 0.5
# Share of the rows in which two columns agree, if both are the label.
MIN_SAME = 0.5
_CORRECTION = re.compile(r"correct|verif|final|expert|true|review|revis|fixed", re.IGNORECASE)
_SAYS_SPLITS = re.compile(r"partition|split|(?:^|[\W_])folds?(?:$|[\W_\d])", re.IGNORECASE)
_SAYS_LABELS = re.compile(
    r"label|class|annot|species|truth|train|test|(?:^|[\W_])(?:val|dev|gt|list|import|all)(?:$|[\W_\d])", re.IGNORECASE
)


def read(meaning: Meaning, options: Options) -> None:
    """Finds the label of each row, and the taxa above the species.

    Args:
      meaning: receives the labels; its photos are known.
      options: the user's choices.

    Raises:
      UserError: several columns may be the label.
    """
    table = meaning.table
    if options.label_column:
        if asked := table.listed(options.label_column):
            _set_label(meaning, asked)
        return
    rows = _rows_used(meaning)
    genus = next(iter(columns.named(table, columns.GENUS)), None)
    taken = {
        meaning.file_column,
        *(n for n, name in enumerate(table.columns) if name and name in (meaning.split_name, *meaning.group_names)),
    }
    candidates = _that_vary(table, rows, _candidates(meaning, rows, taken, genus))
    if not candidates:
        if one_hot := columns.one_hot(table, meaning.file_column):
            _set_one_hot(meaning, one_hot)
        return
    same = _same_label(table, rows, candidates)
    if _is_unique(table, rows, same[0]):
        # A different value in each row: names of photos, or remarks.
        return
    _check_second_opinions(meaning, rows, same, taken)
    if all(is_numbers(table, column) for column in same):
        same += _names_of_numbers(table, rows, same[0], taken)
    spelt = _spelt(table)
    best = min(same, key=lambda column: (is_numbers(table, column), _is_code(spelt[column]), same.index(column)))
    if (
        genus is not None
        and genus not in taken
        and spelt[best] in columns.AFTER_GENUS
        and _are_epithets(table, rows, best)
    ):
        _set_label(meaning, [genus, best])
    else:
        _set_label(meaning, [best])


def _candidates(meaning: Meaning, rows: Sequence[int], taken: Collection[int], genus: int | None) -> list[int]:
    """Returns the columns that are the label by their names."""
    table, spelt = meaning.table, _spelt(meaning.table)
    # What is still JSON is no name.
    candidates = [
        column
        for column in columns.named(table, columns.LABEL)
        if column not in taken and not any(value.startswith(("[{", '{"')) for value in table.values(column))
    ]
    if "x" in spelt:
        # A position in the image.
        candidates = [c for c in candidates if spelt[c] != "y"]
    candidates = [c for c in candidates if not no_labels.are_higher_taxa(table, rows, c, taken)]
    if not candidates and not table.header:
        candidates = _without_header(meaning)
    if not candidates:
        kinds = [c for c in columns.named(table, columns.SPECIES_OR_KIND) if c not in taken]
        candidates = [c for c in kinds if words.are_binomials({value for value in table.values(c) if value.strip()})]
    if genus is not None and all(spelt[c] == "class" for c in candidates):
        after = [c for c in columns.named(table, columns.AFTER_GENUS) if c not in (genus, *taken)]
        candidates = [c for c in after if _are_epithets(table, rows, c)][:1] or candidates
    if sum(name in columns.RANKS for name in spelt) > 1:
        # The taxonomic rank "class": that of all butterflies is Insecta.
        candidates = [c for c in candidates if spelt[c] != "class"] or candidates
    if len(candidates) > 1:
        # Where species vary, subspecies subdivide them.
        candidates = [c for c in candidates if spelt[c] != "subspecies"] or candidates
    return candidates


def _that_vary(table: Table, rows: Sequence[int], candidates: Sequence[int]) -> list[int]:
    """Returns the candidates with more than one class, or the first with one; neither sparse ones nor measures."""
    cells = {c: [cell for row in rows if not columns.is_blank(cell := table.rows[row][c])] for c in candidates}
    most = max(map(len, cells.values()), default=0)
    full = [c for c in candidates if cells[c] and len(cells[c]) >= MIN_COVERAGE * most]
    labels = [c for c in full if not no_labels.are_no_species(cells[c])]
    return [c for c in labels if len(set(cells[c])) > 1] or labels[:1]


def _same_label(table: Table, rows: Sequence[int], candidates: Sequence[int]) -> list[int]:
    """Returns the candidates, all of which divide the rows into the same classes.

    Raises:
      UserError: they do not.
    """
    readings: list[list[int]] = []
    for column in candidates:
        same = next((reading for reading in readings if _agree(table, rows, reading[0], column)), None)
        if same is None:
            readings.append([column])
        else:
            same.append(column)
    if len(readings) > 1:
        shown = " or ".join(
            f"{table.columns[reading[0]]} ({_first_values(table, rows, reading[0])})" for reading in readings[:3]
        )
        raise UserError(f"the label may be {shown} in {table.name}: choose one with build.label_column")
    return readings[0]


def _names_of_numbers(table: Table, rows: Sequence[int], numbers: int, taken: Collection[int]) -> list[int]:
    """Returns the first column of names that stand for the numbers of a label, one to one, whatever it is called."""
    for column, name in enumerate(table.columns):
        values = {table.rows[row][column] for row in rows}
        if (
            column not in (numbers, *taken)
            and name
            and words.squeeze(name) not in (*columns.FILE, *columns.RANKS)
            and len(values) <= MAX_DISTINCT * len(rows)
            and not any(re.fullmatch(r"[\W\d]*", value) for value in values)
            and _agree(table, rows, numbers, column)
        ):
            return [column]
    return []


def _check_second_opinions(
    meaning: Meaning, rows: Sequence[int], chosen: Sequence[int], taken: Collection[int]
) -> None:
    """Raises a UserError where another column has the values of the label, and in some rows another one.

    "label, verified_label" or "species, expert_2": either may be right. Guesses are none.
    """
    table, label = meaning.table, chosen[0]
    own = {words.plain(table.rows[row][label]) for row in rows}
    for column, name in enumerate(table.columns):
        if column in (*chosen, *taken) or not name or columns.GUESS.search(name):
            continue
        if name == "given" and {"suspect", "proposed"} <= set(table.columns):
            # A table of `butterflyer audit`: the labels before they were corrected.
            continue
        pairs = [(words.plain(table.rows[row][label]), words.plain(table.rows[row][column])) for row in rows]
        pairs = [pair for pair in pairs if not any(map(columns.is_blank, pair))]
        same = sum(one == other for one, other in pairs)
        common = {other for _, other in pairs} & own
        corrects = bool(common) and bool(_CORRECTION.search(name))
        if len(pairs) > same and (corrects or (len(common) > 1 and same >= MIN_SAME * len(pairs))):
            one, other = next(pair for pair in pairs if pair[0] != pair[1])
            sparse = len(pairs) < MIN_COVERAGE * len(rows)
            raise UserError(
                f"the label may be {table.columns[label]} or {name} in {table.name}, which differ in "
                f"{len(pairs) - same} of {len(pairs)} rows ({one}, {other}): "
                + (
                    f"build.label_column={table.columns[label]} takes the first; to take both, write {name} into it"
                    if sparse
                    else "choose one with build.label_column"
                )
            )


def _without_header(meaning: Meaning) -> list[int]:
    """Returns the only possible label column of a headerless table whose name says that it has labels; [] for none.

    "train.txt: images/0.jpg 3", "labels.csv: 0.jpg,Monarch", "import.csv: TRAIN,gs://bucket/0.jpg,Monarch" (AutoML).
    """
    table = meaning.table
    stem = PurePosixPath(table.name).stem
    if not _SAYS_LABELS.search(stem) or _SAYS_SPLITS.search(stem):
        return []
    found = []
    for column in range(len(table.columns)):
        values = [value for value in table.values(column) if not columns.is_blank(value)]
        distinct = set(values)
        is_split = table.columns[column] == meaning.split_name or all(map(words.split_of, distinct))
        if column == meaning.file_column or not values or is_split:
            continue
        found += [column] if 1 < len(distinct) <= MAX_DISTINCT * len(values) else []
    return found if len(found) == 1 else []


def _is_unique(table: Table, rows: Sequence[int], column: int) -> bool:
    values = [value for row in rows if not columns.is_blank(value := table.rows[row][column])]
    return len(set(values)) == len(values) >= MIN_UNIQUE_ROWS


def _spelt(table: Table) -> list[str]:
    return [words.squeeze(name) for name in table.columns]


def _is_code(spelt: str) -> bool:
    return spelt in columns.NUMBER_LABELS


def _agree(table: Table, rows: Sequence[int], one: int, other: int) -> bool:
    """Returns whether two columns divide the rows into the same classes."""
    pairs = {(words.plain(table.rows[row][one]), words.plain(table.rows[row][other])) for row in rows}
    pairs = {pair for pair in pairs if not any(map(columns.is_blank, pair))}
    return bool(pairs) and len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs})


def _first_values(table: Table, rows: Sequence[int], column: int) -> str:
    return ", ".join(list(dict.fromkeys(table.rows[row][column] for row in rows if table.rows[row][column]))[:3])


def _are_epithets(table: Table, rows: Sequence[int], column: int) -> bool:
    values = {table.rows[row][column] for row in rows} - {""}
    return all(re.fullmatch(r"[a-z][a-z-]+", value) for value in values)


def _set_label(meaning: Meaning, chosen: Sequence[int]) -> None:
    table = meaning.table
    for column in chosen:
        if table.columns.count(table.columns[column]) > 1:
            raise UserError(f"{table.name} has several columns {table.columns[column]}: keep one")
    meaning.label_name = " ".join(table.columns[column] for column in chosen)
    spelt = _spelt(table)
    above = [
        spelt.index(rank)
        for rank in columns.RANKS
        if rank in spelt and spelt.index(rank) not in (*chosen, meaning.file_column)
    ]
    single = {words.plain(row[chosen[-1]]) for row in table.rows}
    # A spreadsheet may have turned 1 into 1.0.
    floats = all(re.fullmatch(r"\d+\.0+", value) for value in single if not columns.is_blank(value))
    for row in table.rows:
        cells = [row[column].partition(".")[0] if floats else row[column] for column in chosen]
        blank = columns.is_blank(cells[-1])
        label = SEVERAL if _are_several(cells[-1], single) else words.plain(" ".join(cells))
        meaning.labels.append("" if blank else label)
        meaning.ranks.append(tuple(words.plain(row[column]) for column in above if not columns.is_blank(row[column])))


def _are_several(cell: str, single: Collection[str]) -> bool:
    """Returns whether a cell lists several classes; other signs than | and ; may also be part of a name."""
    for delimiter in (*"|;,/+& ", r"\s(?:and|und|et|y|e|en)\s"):
        parts = {
            words.plain(part) for part in re.split(delimiter if len(delimiter) > 1 else re.escape(delimiter), cell)
        }
        parts -= {""}
        if len(parts) > 1 and (delimiter in "|;" or all(part in single for part in parts)):
            return True
    return False


def _set_one_hot(meaning: Meaning, classes: Sequence[int]) -> None:
    table = meaning.table
    meaning.label_name = f"a column a class: {table.columns[classes[0]]}, …"
    names = [table.columns[column] for column in classes]
    for row in table.rows:
        ones = [column for column in classes if columns.is_one(row[column])]
        label = words.plain(columns.class_of(table.columns[ones[0]], names)) if len(ones) == 1 else ""
        meaning.labels.append(SEVERAL if len(ones) > 1 else label)
    meaning.ranks = [()] * len(table.rows)


def _rows_used(meaning: Meaning) -> list[int]:
    return [row for row, photos in enumerate(meaning.photos) if photos] or list(range(len(meaning.photos)))
