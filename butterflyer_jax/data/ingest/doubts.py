"""Doubtful labels: those of no species, those that differ by a sex or a date alone, and those of two sources."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from butterflyer_jax.data.ingest import higher_taxa, inventory, same_species, unclear, words
from butterflyer_jax.data.ingest.folders import additions, file_names
from butterflyer_jax.data.ingest.folders.reading import Folders, pattern, some
from butterflyer_jax.data.ingest.tables import class_names, reader, row_flags
from butterflyer_jax.data.ingest.tables.labels import Annotations
from butterflyer_jax.errors import UserError

# Number of photos that are named in an option.
SHOWN_PHOTOS = 5


def check(labels: Mapping[str, str], source: str, settled: Sequence[str], names_chosen: bool) -> None:
    """Raises a UserError where labels may be no classes of their own.

    Args:
      labels: label of each photo.
      source: origin of the labels, for messages.
      settled: patterns of labels for which the user has chosen.
      names_chosen: whether the user has chosen several tables, and with them their names of the species.
    """
    questions = [_unknown(labels, source, settled)]
    if wrong := file_names.other_species(labels):
        questions.append(
            f"{wrong} by {source}; build.layout=table takes the table, build.layout=name takes the names of the photos"
        )
    note, patterns = file_names.beside(labels)
    if note:
        questions.append(f"{note}: build.ignore={patterns} leaves them out, build.layout=table takes them")
    used = {label for label in labels.values() if not inventory.fits(label, settled)}
    questions.append(_names_of_one(used, source, names_chosen))
    if found := list(filter(None, questions)):
        raise UserError("; also, ".join(found))


def _names_of_one(labels: Collection[str], source: str, names_chosen: bool) -> str:
    """Returns a question about labels that may be names of one species; "" where there are none."""
    choice = "build.layout=table takes each as a class; for one species, give them one name"
    if several := additions.alike(labels):
        return (
            f"the labels {some(several[0])} in {source}{additions.more(several)} differ only by what is no part of the "
            f"name of a species, and may be one species or several classes: {choice}"
        )
    if names_chosen:
        return ""
    if same := same_species.groups(labels):
        return f"the labels {some(same[0])} in {source}{additions.more(same)} are names of one species: {choice}"
    if found := same_species.in_two_languages(labels):
        scientific, others = found
        return (
            f"{len(scientific):,} labels in {source} are scientific names ({some(scientific, 2)}), {len(others):,} are "
            f"others ({some(others, 2)}), so a species may have two names: {choice}"
        )
    return ""


def check_unknown(labels: Mapping[str, str], source: str, settled: Sequence[str]) -> None:
    """Raises a UserError where labels such as "unknown" or a genus may be a class or no species; see `check`."""
    if question := _unknown(labels, source, settled):
        raise UserError(question)


def _unknown(labels: Mapping[str, str], source: str, settled: Sequence[str]) -> str:
    above = higher_taxa.among(set(labels.values()))
    unsure: dict[str, list[str]] = defaultdict(list)
    for photo, label in sorted(labels.items()):
        unknown = unclear.is_unsure(label) or words.is_unlabelled(label, in_test=True) or label in above
        if unknown and not inventory.fits(label, settled):
            unsure[label].append(photo)
    if not unsure:
        return ""
    names = [photo for photos in unsure.values() for photo in photos]
    inside = {posixpath.dirname(name) for name in names}
    beside = {posixpath.dirname(name) for name in labels.keys() - names}
    patterns = [pattern(name)[:-2] for name in names] if inside & beside else [*map(pattern, sorted(inside))]
    if len(patterns) > SHOWN_PHOTOS:
        patterns = [inventory.OF_LABELS + pattern(label)[:-2] for label in unsure]
    listed = ",".join(patterns)
    return (
        f"the label {some(map(repr, unsure))} in {source} (photos: {len(names):,}, such as {min(names)}) may be "
        "a class beside the species, or mean that the species is not known: build.layout=table takes it as a class, "
        f"build.ignore={listed} leaves these photos out, build.negatives={listed} takes them as photos that show no "
        "species"
    )


def check_excluded(excluded: Mapping[str, str], settled: Sequence[str]) -> None:
    """Raises a UserError where a list of some photos may say that they are not to be used: "bad_images.txt"."""
    if excluded and not inventory.fits(row_flags.EXCLUDED, settled):
        file = min(excluded.values())
        photos = [photo for photo, own in excluded.items() if own == file]
        raise UserError(
            f"{file} lists {len(photos):,} photos, such as {min(photos)}, and by its name they may be photos that are "
            f"not to be used: build.ignore=label:{row_flags.EXCLUDED} leaves the photos out, "
            f"build.ignore={pattern(file)[:-2]} leaves the list out"
        )


def check_other_labels(folders: Folders, tables: Annotations, found: reader.Found) -> None:
    """Raises a UserError where labels may stand in a table, or in a file in each folder, that fits no photo."""
    shown, own = some(folders.labels, 3), set(map(words.squeeze, folders.labels))
    in_rows = set(map(words.squeeze, tables.ambiguous))
    # "the Monarch" in a row is Monarch of the folders.
    alike = any(one in other or other in one for one in own for other in in_rows)
    if len(in_rows) > 1 and not alike:
        cell, reason = tables.missing[0]
        raise UserError(
            f"the labels may be the folders ({shown}) or those of rows that may each be several files "
            f"({some(tables.ambiguous, 3)}; {cell}: {reason}): build.layout=leaf takes the folders; for the rows, "
            f"write the folder into them, as {min(folders.labels)}/{cell}"
        )
    if not class_names.are_codes(folders.labels):
        return
    beside: dict[str, set[str]] = defaultdict(set)
    for name in [*found.unread, *found.class_lists, *(table.name for table in found.tables)]:
        folder, file = posixpath.split(name.partition("[")[0])
        beside[file].add(words.plain(posixpath.basename(folder)))
    for file, inside in beside.items():
        if folders.labels <= inside:
            raise UserError(
                f"the folders ({shown}) may be the species, or specimens whose species stands in the file {file} in "
                "each of them: build.layout=leaf takes each folder as a species; else list folders and species in a "
                "table"
            )


def crossing(folders: Folders, tables: Annotations) -> list[str]:
    """Returns the photos whose label in a table is the name of another folder than theirs: corrections."""
    places = folders.places
    return [
        photo for photo, label in tables.labels.items()
        if photo in places and label != places[photo].label and label in folders.labels
    ]  # fmt: skip


def renaming_some(
    folders: Folders, tables: Annotations, by_folder: Mapping[str, set[str]], by_table: Mapping[str, set[str]]
) -> list[str]:
    """Returns the photos with another label in a table, where it names some of the folders alone: corrections, perhaps.

    Numbers on either side are other names of the same classes.
    """
    if (
        class_names.are_numbered(by_folder)
        or class_names.are_numbered(by_table)
        or set(folders.labels) <= set(by_folder)
    ):
        return []
    places = folders.places
    return [
        photo for photo, label in tables.labels.items()
        if photo in places and words.squeeze(label) != words.squeeze(places[photo].label)
    ]  # fmt: skip
