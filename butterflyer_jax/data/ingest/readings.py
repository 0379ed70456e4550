"""Choice between the readings of a collection: folders, tables, or both where they agree; never a guess."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import doubts, given_splits, inventory, words
from butterflyer_jax.data.ingest.folders.reading import Folders, some
from butterflyer_jax.data.ingest.tables import class_names, reader
from butterflyer_jax.data.ingest.tables.labels import NUMBERS, Annotations
from butterflyer_jax.data.ingest.tables.row_flags import EXCLUDED
from butterflyer_jax.errors import UserError

TABLE = "table"
# Values of `Labels.source`.
FOLDERS = "folders"
UNUSED = "tables not used"
NO_ROW = "no row in the CSV"
SHOWN_UNUSED = 3


class NoReadingError(UserError):
    """Neither folders nor tables label the photos."""


@dataclass
class Labels:
    """The reading of a collection: each photo is in exactly one of `labels`, `rejects` and `ignored`.

    Attributes:
      labels: species.
      splits: train, val or test, where given by the collection.
      groups: (kind, value) of each group that a photo belongs to.
      taxonomy: names above each species, outermost first.
      rejects: reason why a photo cannot be used.
      ignored: reason why a good photo is left out.
      source: origin of the labels, for messages.
      group_names: columns and folders that the groups come from.
      split_names: columns, files and folders that the splits come from.
      notes: notes for the user.
    """

    labels: dict[str, str]
    splits: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    taxonomy: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    source: str = ""
    group_names: list[str] = field(default_factory=list)
    split_names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def settle(
    photos: Sequence[str], folders: Folders, tables: Annotations, found: reader.Found, choice: str, split_choice: str,
    group_choice: str, settled: Sequence[str] = (),
) -> Labels:  # fmt: skip
    """Determines labels, splits and groups of photos.

    Args:
      photos: paths of the photos.
      folders: reading by folders.
      tables: reading by tables.
      found: content of the table files, for the names of numbered classes.
      choice: value of build.layout, "" for the only sensible reading.
      split_choice: value of build.split_column; "folder" for the folders alone, "file_name" for
        words in file names, "none" for no given splits.
      group_choice: value of build.group_column; "none" for no groups.
      settled: patterns of labels that the user leaves out or takes as no species.

    Raises:
      UserError: there is no sensible reading, or more than one.
    """
    if choice == TABLE and not tables.labels:
        reason = _no_labels(tables) or _why_unused(tables) or "no table has labels"
        raise UserError(f"build.layout=table: {reason}")
    named_in = _name_folders(folders, tables, found)
    by_folder = bool(choice) and choice != TABLE
    sensible = not folders.problem and len(folders.labels) > 1
    of_tables = set(tables.labels.values())
    excluded = {} if choice or len(tables.excluded) == len(photos) else tables.excluded
    doubts.check_excluded(excluded, settled)
    if not choice and len(of_tables) > 1 and sensible:
        doubts.check_unknown(tables.labels, ", ".join(tables.sources), settled)
    for photo in [photo for photo, label in tables.labels.items() if inventory.fits(label, settled)]:
        # What the user decided about the label of a table holds for any folder.
        folders.places.pop(photo, None)
    if by_folder:
        if folders.problem:
            raise UserError(f"build.layout={choice}: {folders.problem}")
        result = _by_folders(folders)
    elif choice == TABLE or (of_tables and not sensible):
        result = _by_tables(photos, folders, tables)
    elif not of_tables:
        if folders.problem:
            raise NoReadingError(_no_reading(folders, tables))
        doubts.check_other_labels(folders, tables, found)
        result = _by_folders(folders)
    elif len(of_tables) == 1 and not doubts.crossing(folders, tables):
        # One label for all photos looks like a placeholder.
        share = f"{len(tables.labels):,} of {len(photos):,} photos"
        tables.notes.append(f"{tables.sources[0]} gives {share} one label, {min(of_tables)!r}, and is not used")
        result = _by_folders(folders)
    else:
        result = _both(photos, folders, tables)
    result.labels |= dict.fromkeys(excluded.keys() & result.labels.keys(), EXCLUDED)
    if not choice and result.source != FOLDERS:
        doubts.check(result.labels, result.source, settled, tables.names_chosen)
    if split_choice != "none":
        result.splits, result.split_names = given_splits.find(folders, tables, result.labels, split_choice)
        given_splits.check_species(result.splits, result.labels)
        note = given_splits.note(result.splits, result.split_names, result.labels)
        if note and (result.splits or not split_choice):
            result.notes.append(note)
    if group_choice != "none":
        result.groups = {photo: list(tables.groups[photo]) for photo in result.labels if tables.groups.get(photo)}
        result.group_names = list(dict.fromkeys(tables.group_names))
        own = {photo: place.group for photo, place in folders.places.items() if place.group and photo in result.labels}
        if own and not group_choice:
            for photo, group in own.items():
                result.groups.setdefault(photo, []).append((FOLDERS, group))
            result.group_names.append(FOLDERS)
    if named_in and result.source == FOLDERS:
        result.source += f", named in {named_in}"
    if tables.missing and result.source.startswith(FOLDERS):
        cell, reason = tables.missing[0]
        result.notes.append(f"rows of tables are not used: {len(tables.missing):,} like {cell}, {reason}")
    if unused := {name: reason for name, reason in tables.unused.items() if reason != reader.NO_TABLE}:
        more = f"; and {len(unused) - SHOWN_UNUSED} more" if len(unused) > SHOWN_UNUSED else ""
        shown = "; ".join(f"{name} ({reason})" for name, reason in sorted(unused.items())[:SHOWN_UNUSED])
        result.notes.append(f"{UNUSED}: {shown}{more}")
    result.notes = [*tables.notes, *result.notes]
    return result


def _by_folders(folders: Folders) -> Labels:
    labels = {photo: place.label for photo, place in folders.places.items()}
    taxonomy: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for place in folders.places.values():
        taxonomy[place.label].add(place.taxonomy)
    return Labels(
        labels=labels,
        taxonomy={label: next(iter(above)) for label, above in taxonomy.items() if len(above) == 1 and any(above)},
        rejects=dict(folders.rejects),
        ignored=dict(folders.ignored),
        source=FOLDERS,
        notes=list(folders.notes),
    )


def _by_tables(photos: Iterable[str], folders: Folders, tables: Annotations) -> Labels:
    result = Labels(
        labels=dict(tables.labels), taxonomy=dict(tables.taxonomy), rejects=dict(tables.conflicts),
        source=", ".join(tables.sources),
    )  # fmt: skip
    with_label = {str(PurePosixPath(photo).parent) for photo in [*result.labels, *result.rejects]}
    for photo in photos:
        if photo in result.labels or photo in result.rejects:
            continue
        folder = str(PurePosixPath(photo).parent)
        if photo in folders.ignored:
            result.ignored[photo] = folders.ignored[photo]
        elif photo in tables.unlabelled:
            result.ignored[photo] = f"unlabelled in {tables.unlabelled[photo]}"
        elif folder not in with_label and folder != "." and _may_lack_labels(folder):
            result.ignored[photo] = f"unlabelled in {folder}/"
        else:
            result.rejects[photo] = NO_ROW
    return result


def _may_lack_labels(folder: str) -> bool:
    parts = PurePosixPath(folder).parts
    return any(words.split_of(part) == "test" or words.is_unlabelled(part, True) for part in parts)


def _both(photos: Sequence[str], folders: Folders, tables: Annotations) -> Labels:
    """Joins the readings by folders and by tables where they agree.

    Raises:
      UserError: they do not.
    """
    pairs = {(folders.places[photo].label, label) for photo, label in tables.labels.items() if photo in folders.places}
    by_folder, by_table = _sides(pairs)
    crossing = doubts.crossing(folders, tables) or doubts.renaming_some(folders, tables, by_folder, by_table)
    if not crossing and all(len(labels) == 1 for labels in [*by_folder.values(), *by_table.values()]):
        # The same classes under any names: each reading completes the other.
        if pairs and class_names.are_numbered(by_table) and not class_names.are_numbered(by_folder):
            # A folder's name is more informative than a number.
            tables.labels = {photo: next(iter(by_table.get(label, {label}))) for photo, label in tables.labels.items()}
            by_folder = {}
            tables.notes = [note for note in tables.notes if not note.startswith(NUMBERS)]
        result = _by_tables(photos, folders, tables)
        for photo, place in folders.places.items():
            if photo in result.labels or photo in tables.conflicts:
                continue
            result.labels[photo] = next(iter(by_folder.get(place.label, {place.label})))
            result.rejects.pop(photo, None)
            result.ignored.pop(photo, None)
        result.taxonomy = _by_folders(folders).taxonomy | result.taxonomy
        result.source += " and folders, which agree" if pairs else " and folders"
        return result
    if not crossing and all(len(own) == 1 for own in by_folder.values()) and class_names.are_numbered(by_folder):
        # Folders that are codes, several per species: specimens or observations.
        for photo, place in folders.places.items():
            folders.places[photo] = dataclasses.replace(place, group=place.group or place.label)
        return _by_tables(photos, folders, tables)
    same_words = set(map(words.squeeze, folders.labels)) & set(map(words.squeeze, by_table))
    if all(len(above) == 1 for above in by_table.values()) and not same_words:
        # Each species of the table lies in one folder: the folders are higher taxa.
        result = _by_tables(photos, folders, tables)
        for label, above in by_table.items():
            result.taxonomy.setdefault(label, (next(iter(above)),))
        return result
    example = min(crossing) if crossing else next(
        photo for photo, label in tables.labels.items()
        if photo in folders.places and (len(by_folder[folders.places[photo].label]) > 1 or len(by_table[label]) > 1)
        and not (same_words and words.squeeze(label) == words.squeeze(folders.places[photo].label))
    )  # fmt: skip
    raise UserError(
        f"folders and tables give different labels: by its folder {example} is {folders.places[example].label!r}, by "
        f"{', '.join(tables.sources)} {tables.labels[example]!r}; build.layout=table or build.layout=leaf chooses"
    )


def _sides(pairs: Iterable[tuple[str, str]]) -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
    one: dict[str, set[str]] = defaultdict(set)
    other: dict[str, set[str]] = defaultdict(set)
    for left, right in pairs:
        one[left].add(right)
        other[right].add(left)
    return one, other


def _name_folders(folders: Folders, tables: Annotations, found: reader.Found) -> str:
    """Replaces folders that are codes by names where a file of the collection has them; returns that file."""
    renamed, file = class_names.rename(folders.labels, found.class_lists, found.tables, found.texts)
    for photo, place in folders.places.items():
        if place.label in renamed:
            folders.places[photo] = dataclasses.replace(place, label=renamed[place.label])
    tables.unused.pop(file, None)
    if not renamed and len(folders.labels) > 1 and class_names.are_numbered(folders.labels):
        numbers = all(label.isdigit() for label in folders.labels)
        folders.notes.append(
            f"{NUMBERS}: a file classes.txt with one name per line would name them"
            if numbers
            else f"labels are codes ({some(folders.labels, 3)}): lines such as '{min(folders.labels)} NAME' in a file "
            "classes.txt would name them"
        )
    return file


def _why_unused(tables: Annotations) -> str:
    unused = [f"{name}: {reason}" for name, reason in sorted(tables.unused.items()) if reason != reader.NO_TABLE]
    return "; ".join(unused[:SHOWN_UNUSED])


def _no_labels(tables: Annotations) -> str:
    return "; ".join(tables.nearly)


def _no_reading(folders: Folders, tables: Annotations) -> str:
    """Returns the reason why a collection cannot be read, and a remedy."""
    parts = [folders.problem + (f" ({folders.choices})" if folders.choices else "")]
    if tables.nearly:
        parts.append(_no_labels(tables))
    elif tables.missing:
        cell, reason = tables.missing[0]
        parts.append(
            f"{len(tables.missing):,} rows like {cell}: {reason}; write the folder into the rows, as train/{cell}"
        )
    elif tables.conflicts:
        photo, reason = min(tables.conflicts.items())
        parts.append(f"{len(tables.conflicts):,} photos like {photo}: {reason}")
    elif unused := _why_unused(tables):
        parts.append(unused)
    if not folders.choices and not tables.nearly:
        parts.append("name the folders after the species, or add a labels.csv with the columns filename,label")
    return "; ".join(parts)
