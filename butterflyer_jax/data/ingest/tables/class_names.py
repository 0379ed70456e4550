"""Names for labels that are codes, taken from the files of a collection."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables import prose
from butterflyer_jax.data.ingest.tables.columns import LABEL, Table, named
from butterflyer_jax.data.ingest.tables.name_lists import NameList, code
from butterflyer_jax.errors import UserError

_NUMBERS = words.listed(
    """
    id classid labelid categoryid speciesid taxonid targetid index idx classindex number class label category target
    """
)
# Columns whose names say that they hold codes, or folders.
_CODES = words.listed(
    """
    folder foldername folderid dir directory dirname code classcode speciescode labelcode taxoncode abbreviation abbrev
    abbr shortname shortcode acronym alphacode bandingcode wnid synset synsetid
    """
)
_NAMES = ["name", "classname", "labelname", *LABEL]
# Words before class numbers, as in "class_0", "c0" and "species 3".
_COUNTED = re.compile(
    r"(?:(?P<word>class|classes|cls|c|label|lbl|category|cat|species|sp|spec|taxon|id|idx|target)[-_ ]?)?"
    r"(?P<number>\d+)",
    re.I,
)
# The last ones are of Open Images: /m/0gj37.
_CODE = re.compile(r"[A-Za-z]{0,12}[-_ ]?\d+[A-Za-z]?|[A-Z][A-Z0-9_-]{0,9}|/[a-z]/\w+")
# Share of the codes from which an incomplete list counts as a list of these classes.
_MIN_SHARE = 0.5


def are_codes(labels: Collection[str]) -> bool:
    """Returns whether labels are numbers, or codes such as n02276258, SP1 and DANPLE."""
    return bool(labels) and all(_CODE.fullmatch(label) for label in labels)


def are_numbered(labels: Collection[str]) -> bool:
    """Returns whether all labels are codes with a number: words in capitals alone may be names."""
    return are_codes(labels) and all(re.search(r"\d", label) for label in labels)


def is_list(table: Table) -> bool:
    """Returns whether a table has a number and a name for each class, and does not name photos."""
    if len(table.columns) == 2 and table.header and table.columns[0].isdigit() and not table.columns[1].isdigit():
        # The first line is not a header.
        table = Table(table.name, ("id", "name"), [table.columns, *table.rows])
    for number in named(table, [*_NUMBERS, *_CODES]):
        values = table.values(number)
        # A single letter may as well be the label of a photo.
        codes = all(_CODE.fullmatch(value) and (len(value) > 1 or value.isdigit()) for value in values)
        if not values or not codes or len(set(values)) != len(values):
            continue
        for name in named(table, _NAMES):
            names = table.values(name)
            if name != number and all(names) and len(set(names)) == len(names) and not any(map(str.isdigit, names)):
                return True
    return False


def folders_listed(photos: Iterable[str], lists: Mapping[str, NameList], tables: Iterable[Table]) -> set[str]:
    """Returns the folders that are codes named by a list, if the list covers a whole level.

    Args:
      photos: paths of photos.
      lists: lists of classes, by file.
      tables: tables of the collection.
    """
    levels: dict[int, set[str]] = defaultdict(set)
    for folder in {photo.rpartition("/")[0] for photo in photos} if lists or tables else ():
        for level, part in enumerate(folder.split("/")):
            if words.split_of(part) is None and not words.is_container(part):
                levels[level].add(part)
    found: set[str] = set()
    for parts in levels.values():
        if len(parts) > 1 and are_codes(parts):
            with contextlib.suppress(UserError):
                renamed, _ = rename(parts, lists, tables)
                found |= renamed.keys()
    return found


def rename(
    labels: Collection[str],
    lists: Mapping[str, NameList],
    tables: Iterable[Table],
    texts: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], str]:
    """Returns the name of each label, and the file with the names; ({}, "") where no file has them.

    Where a list maps codes to other codes, these are looked up in turn.

    Args:
      labels: labels of the collection; labels that are not codes are renamed only by tables with columns for it.
      lists: lists of classes, by file.
      tables: tables that do not name photos.
      texts: texts such as a README, by file, used where nothing else names the classes.

    Raises:
      UserError: a file lacks some of the numbers, two files name them differently, or a text is ambiguous.
    """
    tables = list(tables)
    found, file = _rename_once(labels, lists, tables)
    if not found and texts and are_codes(labels):
        return prose.names(labels, texts)
    if found and are_numbered(set(found.values())):
        further, of_names = _rename_once(set(found.values()), lists, tables)
        if further:
            return {label: further[name] for label, name in found.items()}, of_names
    return found, file


def _rename_once(
    labels: Collection[str], lists: Mapping[str, NameList], tables: Sequence[Table]
) -> tuple[dict[str, str], str]:
    found: dict[str, dict[str, str]] = {}
    problems = []
    for table in tables:
        if names := _of_table(table, labels):
            found[table.name] = names
    if are_codes(labels):
        for file, listed in lists.items():
            if file in found:
                continue
            named_by_file, problem = _fit(labels, listed)
            if named_by_file:
                found[file] = named_by_file
            elif problem:
                problems.append(f"{file} {problem}")
    found = {file: names for file, names in found.items() if names.keys() != {*names.values()}}
    if found:
        first, *others = found
        for other in others:
            if found[other] != found[first] and not are_numbered(set(found[other].values())):
                if are_numbered(set(found[first].values())):
                    first = other
                    continue
                raise UserError(f"{first} and {other} name the classes differently: leave one out with build.ignore")
        return found[first], first
    if problems:
        numbers = sorted(labels, key=lambda label: (code(label).zfill(12), label))
        raise UserError(
            f"labels are {'the numbers ' if numbers[0].isdigit() else ''}{numbers[0]} to {numbers[-1]}, but "
            f"{'; '.join(problems)}: correct it, or leave it out with build.ignore"
        )
    return {}, ""


def _fit(labels: Collection[str], listed: NameList) -> tuple[dict[str, str], str]:
    """Returns names by one list, or why it does not fit; ({}, "") where it is not about these classes."""
    numbers = _numbers(labels)
    for names in listed.maps:
        for key in (code, lambda label: str(numbers[label])) if numbers else (code,):
            fitting = {label: names[key(label)] for label in labels if key(label) in names}
            if len(fitting) == len(labels) and _are_names(fitting.values()):
                return fitting, ""
    for names in listed.maps:
        missing = sorted(
            (label for label in labels if code(label) not in names), key=lambda label: code(label).zfill(12)
        )
        relevant = all(key.isdigit() for key in names) if numbers else len(missing) < _MIN_SHARE * len(labels)
        if missing and relevant:
            return {}, f"does not name {missing[0]}"
    if not numbers or not listed.ordered:
        return {}, ""
    names_in_order = listed.ordered
    first, last, count = min(numbers.values()), max(numbers.values()), len(names_in_order)
    # Counted from 0 or from 1; where both the first and last number are missing, either is possible.
    if last < count and (first == 0 or last == 0):
        return {label: names_in_order[number] for label, number in numbers.items()}, ""
    if last == count and first > 0:
        return {label: names_in_order[number - 1] for label, number in numbers.items()}, ""
    if last < count:
        return {}, f"has {count} names, and whether they are counted from 0 or from 1 is not clear"
    return {}, f"has {count} names"


def _numbers(labels: Collection[str]) -> dict[str, int]:
    """Returns the numbers in labels that all have the same word before a number; {} for other labels."""
    found = {label: _COUNTED.fullmatch(label) for label in labels}
    counted = {label: match for label, match in found.items() if match}
    words_before = {(match["word"] or "").casefold() for match in counted.values()}
    numbers = {label: int(match["number"]) for label, match in counted.items()}
    return numbers if len(counted) == len(found) and len(words_before) == 1 else {}


def _are_names(names: Iterable[str]) -> bool:
    names = list(names)
    return len(set(names)) == len(names) and all(
        re.search(r"[^\W\d_]", name) and not re.search(r"^/|://|\.\w{3,4}$", name) for name in names
    )


def _of_table(table: Table, labels: Collection[str]) -> dict[str, str]:
    """Returns the names of labels by a table with one row per class; {} for other tables."""
    rows = [table.columns, *table.rows] if table.header else table.rows
    of_codes = are_codes(labels)
    explicit = named(table, _CODES)
    wanted = {code(label) for label in labels}
    numbers = all(label.isdigit() for label in labels)
    for column in range(len(table.columns)):
        if not (column in explicit or of_codes) or (
            numbers and len(table.columns) > 2 and column not in named(table, [*_NUMBERS, *_CODES])
        ):
            continue
        used = {code(row[column]): row for row in rows if code(row[column]) in wanted}
        if len(used) != len(wanted) or sum(code(row[column]) in wanted for row in rows) != len(wanted):
            continue
        others = [n for n in range(len(table.columns)) if n != column]
        has_header = table.header and code(table.columns[column]) not in wanted
        # Without a header, the two columns are a code and its name.
        names = [n for n in named(table, _NAMES) if n in others] if has_header else others if len(others) == 1 else []
        for name in names:
            found = {label: words.plain(used[code(label)][name]) for label in labels}
            if _are_names(found.values()):
                return found
    return {}
