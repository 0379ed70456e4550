"""Labels, splits and groups of photos, from all tables of a collection together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from butterflyer_jax.data.ingest import unclear, words
from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.tables import (
    agreement,
    boxes,
    choice,
    class_names,
    hints,
    key_join,
    reader,
    row_flags,
    table_names,
    understanding,
)
from butterflyer_jax.data.ingest.tables.boxes import Box
from butterflyer_jax.data.ingest.tables.cells import SEVERAL
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import Meaning, Options
from butterflyer_jax.errors import UserError

# Number of rows from which a table with a single label looks like a placeholder.
MIN_PLACEHOLDER_ROWS = 5
NUMBERS = "labels are numbers"


@dataclass
class Annotations:
    """Labels, splits and groups that tables give to photos.

    Attributes:
      labels: species of each photo that has one.
      splits: train, val or test of each photo that has one.
      groups: (column, value) of each group of a photo.
      taxonomy: names above each species, outermost first.
      conflicts: photos whose rows cannot be used, with the reasons.
      missing: (cell, reason) of each row without a file.
      ambiguous: labels of rows that may be about several files.
      unlabelled: photos that are listed without a label, with the table.
      excluded: photos in a list whose name says that they are not to be used, with the list.
      sources: tables that give labels, with their columns.
      group_names: columns that give groups.
      split_names: columns and files that give splits.
      unused: tables that are not used, with the reasons.
      names_chosen: whether the user chose several tables with labels, and with them the names in each.
      nearly: hints on tables that name photos but have no known label column.
      boxes: boxes of each photo that has some.
      notes: notes for the user.
    """

    labels: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    taxonomy: dict[str, tuple[str, ...]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)
    ambiguous: set[str] = field(default_factory=set)
    unlabelled: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    group_names: list[str] = field(default_factory=list)
    split_names: list[str] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    names_chosen: bool = False
    nearly: list[str] = field(default_factory=list)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def annotate(
    found: reader.Found, names: PhotoNames, split_of: Callable[[str], str | None], options: Options
) -> Annotations:
    """Interprets every table, and merges them by the photos that they name.

    Args:
      found: content of the table files.
      names: the photos.
      split_of: returns the split of a photo by its folders.
      options: the user's choices.

    Raises:
      UserError: tables contradict each other, a chosen table or column is missing, or there is more than one reading.
    """
    result = Annotations(unused=dict(found.unread))
    tables, others = choice.choose(found, options)
    result.unused |= others
    understood = {}
    for table in tables:
        read = understanding.understand(table, names, split_of, options)
        # Names of classes, whose codes many file names begin with: n01443537_1.JPEG of ImageNet.
        listed = read and table.name in found.class_lists and not read.labels and not options.file_column
        understood[table.name] = None if read and listed and any(len(photos) > 1 for photos in read.photos) else read
    meanings = key_join.join_all(tables, understood, names, split_of, options, result.unused)
    table_names.read(meanings, options)
    for one in meanings:
        result.notes += one.notes
    labelled = _without_placeholders([one for one in meanings if one.labels], options)
    if not options.table:
        for one in labelled:
            _check_mixed(one)
    _name_classes(labelled, found, result)
    source_of = _collect_labels(labelled, result)
    result.names_chosen = bool(options.table) and len(labelled) > 1
    if not options.table:
        agreement.check_languages(source_of, result.labels)
    for one in meanings:
        _collect_rest(one, result)
    result.boxes = boxes.of_photos(row for one in meanings for row in zip(one.boxes, one.photos, strict=False))
    for photo in list(result.unlabelled):
        if photo in result.labels or photo in result.conflicts:
            del result.unlabelled[photo]
    return result


def _without_placeholders(labelled: list[Meaning], options: Options) -> list[Meaning]:
    """Removes tables with a single label for all photos where other tables have more.

    Raises:
      UserError: the single label may be intended.
    """
    labels = {one.table.name: set(_used_labels(one)) for one in labelled}
    empty = [one for one in labelled if not labels[one.table.name]]
    labelled = [one for one in labelled if labels[one.table.name]]
    for one in empty:
        if SEVERAL in one.labels:
            example = [one.table.rows[one.labels.index(SEVERAL)][n] for n in one.table.listed(one.label_name)]
            one.problem = f"several classes in each row of {one.label_name}" + "".join(f", like {e!r}" for e in example)
        one.labels = []
    varied = [one for one in labelled if len(labels[one.table.name]) > 1]
    if options.table or not varied:
        return labelled
    known = {photo for one in varied for photos in one.photos for photo in photos}
    for one in labelled:
        [*own] = labels[one.table.name]
        rows = [row for row, photos in enumerate(one.photos) if photos and not set(photos) <= known]
        if len(own) == 1 and len(rows) >= MIN_PLACEHOLDER_ROWS:
            mine = ",".join(other.table.name for other in labelled if other is not one)
            raise UserError(
                f"{one.table.name} gives all its photos the one label {own[0]!r}, as a placeholder does: "
                f"build.table={mine} leaves it out, build.table={mine},{one.table.name} takes it too"
            )
    return labelled


def _used_labels(one: Meaning) -> list[str]:
    return [
        label for label, photos in zip(one.labels, one.photos, strict=True) if photos and label and label != SEVERAL
    ]


def _name_classes(labelled: Sequence[Meaning], found: reader.Found, result: Annotations) -> None:
    """Replaces numbers by names where a file of the collection names the classes."""
    numbered = [one for one in labelled if class_names.are_codes(set(_used_labels(one)))]
    if not numbered:
        return
    of_photos = {one.table.name for one in labelled}
    lists = {name: listed for name, listed in found.class_lists.items() if name not in of_photos}
    numbers = {label for one in numbered for label in _used_labels(one)} - {words.NO_LABEL}
    tables = [table for table in found.tables if table.name not in of_photos]
    renamed, file = class_names.rename(numbers, lists, tables, found.texts)
    for name in [*lists, file]:
        result.unused.pop(name, None)
    if renamed:
        for one in numbered:
            one.labels = [renamed.get(label, label) for label in one.labels]
            one.label_name += f", named in {file}"
        return
    if not all(label.isdigit() for label in numbers):
        return
    known = {photo for one in labelled if one not in numbered for photos in one.photos for photo in photos}
    for one in numbered:
        others = ",".join(other.table.name for other in labelled if other not in numbered)
        if others and any(photo not in known for photos in one.photos for photo in photos):
            raise UserError(
                f"the labels in {one.table.name} are numbers, those in {others} are names: add a classes.txt with the "
                f"names of the numbers, or build.table={others} leaves it out"
            )
    if len(numbers) > 1 and len(numbered) == len(labelled):
        result.notes.append(f"{NUMBERS}: a file classes.txt with one name per line would name them")


def _check_mixed(one: Meaning) -> None:
    """Raises a UserError where some labels of a table are numbers and others names."""
    used = {label for label in _used_labels(one) if not unclear.is_unsure(label)}
    numbers = {label for label in used if label.isdigit()}
    if numbers and numbers != used:
        raise UserError(
            f"some labels in {one.table.name} are numbers ({some(numbers)}) and others names ({some(used - numbers)}): "
            f"if a number stands for a name, write the name; build.table={one.table.name} takes each as a class"
        )


def _are_headings(labels: Sequence[str]) -> bool:
    """Returns whether labels stand in the first of several rows each, as merged cells do."""
    filled = [label for label in labels if label]
    return bool(labels and labels[0]) and 1 < len(set(filled)) == len(filled) <= len(labels) / 2


def _collect_labels(labelled: Sequence[Meaning], result: Annotations) -> dict[str, Meaning]:
    """Collects the labels of photos; returns the table that gave each."""
    owner: dict[str, Meaning] = {}
    # Names before numbers, then tables of more photos.
    order = {one.table.name: (class_names.are_numbered(used := _used_labels(one)), -len(used)) for one in labelled}
    for one in sorted(labelled, key=lambda one: order[one.table.name]):
        own: dict[str, tuple[str, str]] = {}
        name = one.table.name
        advice = "; if a label holds for the rows below it too, write it there" if _are_headings(one.labels) else ""
        for row, photos in enumerate(one.photos):
            label, split = one.labels[row], one.splits[row]
            for photo in photos if len(photos) == 1 or _is_by_number(one) else ():
                if label == SEVERAL:
                    result.conflicts[photo] = f"several classes in {name}"
                elif not label:
                    result.conflicts.setdefault(photo, f"empty label in {name}{advice}")
                elif own.setdefault(photo, (label, split)) != (label, split):
                    result.conflicts[photo] = f"two different rows in {name}"
                elif one.ranks[row]:
                    result.taxonomy.setdefault(label, one.ranks[row])
        agreement.check(own, one, owner, result.labels, order)
        for photo, (label, _) in own.items():
            if photo not in result.labels:
                result.labels[photo] = label
                owner[photo] = one
        result.sources.append(one.source)
    for photo in result.conflicts:
        result.labels.pop(photo, None)
    return owner


def _is_by_number(one: Meaning) -> bool:
    return one.of_folders or one.table.columns[one.file_column] in one.group_names


def _collect_rest(one: Meaning, result: Annotations) -> None:
    """Collects splits, groups, rows without files, and lists without labels."""
    name = one.table.name
    gave_split = False
    for photo in one.elsewhere:
        result.unlabelled.setdefault(photo, name)
    for row, photos in enumerate(one.photos):
        cell = one.table.rows[row][one.file_column]
        by_number = _is_by_number(one)
        if not photos or (len(photos) > 1 and not by_number):
            if one.labels and cell:
                reason = "several files of that name" if photos else "no such file in the input"
                result.missing.append((cell, f"{name}: {reason}"))
                result.ambiguous |= {one.labels[row]} if photos else set()
                for photo in photos:
                    # A photo's own row takes precedence over one that may be another photo's.
                    if photo not in result.labels:
                        result.conflicts.setdefault(photo, f"a row of {name} may be this file or another of that name")
            continue
        split = one.splits[row]
        for photo in photos:
            if split and split not in words.SPLITS:
                result.conflicts[photo] = f"unknown split {split!r} in {name}"
                result.labels.pop(photo, None)
            elif split:
                if result.splits.setdefault(photo, split) != split:
                    raise UserError(f"the tables put {photo} into two splits, {result.splits[photo]} and {split}")
                gave_split = True
            if one.groups:
                result.groups[photo] += [
                    (column, value) for column, value in zip(one.group_names, one.groups[row], strict=True) if value
                ]
            # A list of boxes or authors says nothing about labels; a list of photos alone says that they have none.
            if not one.labels and (len(one.table.columns) == 1 or split == "test"):
                result.unlabelled.setdefault(photo, name)
    if gave_split:
        by_name = one.split_name.startswith("the name ")
        result.split_names.append(one.split_name if by_name else f"{one.split_name} in {name}")
    result.group_names += [f"{column} in {name}" for column in one.group_names]
    if one.labels or class_names.is_list(one.table):
        return
    if row_flags.is_exclusion(name):
        result.excluded |= {photo: name for photos in one.photos for photo in photos}
    reason, hint = hints.of(one, bool(one.group_names or gave_split or any(one.boxes)))
    if reason:
        result.unused[name] = reason
    if hint and not any(hint in said for said in result.nearly):
        result.nearly.append(f"{name}: {hint}" if one.problem else f"{name} {hint}")
