"""Listing of a zip or folder: photos with species and split, rejects, and ignored files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Protocol

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import clutter, inventory, keywords, layout, nested, readings, words
from butterflyer_jax.data.ingest.folders import masks
from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.inventory import Reject
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.data.ingest.tables import class_names, outside, reader
from butterflyer_jax.data.ingest.tables import labels as table_labels
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import Options
from butterflyer_jax.data.ingest.zip_reader import Member
from butterflyer_jax.errors import UserError

OF_RUN = "in a run folder"
SHOWN_KINDS = 3


@dataclass(frozen=True)
class Listing:
    """Everything in a collection: `num_files = len(members) + len(negatives) + len(rejects) + num_ignored`.

    Attributes:
      members: photos with a species, sorted by name.
      rejects: photos that cannot be used, with the reasons.
      missing: table rows whose file is missing.
      ignored: number of files that are not photos or have no label, by suffix or kind.
      num_files: number of files in the collection; folders do not count.
      fingerprint: hash of names, sizes and checksums, independent of their order.
      source: origin of the labels, for messages.
      taxonomy: names above each species, outermost first.
      groups: (kind, value) of each group that a photo belongs to, by the photo's name.
      group_names: columns and folders that the groups come from.
      split_names: columns, files and folders that given splits come from.
      notes: notes for the user.
      negatives: photos that show no species, sorted by name; not part of `members`.
    """

    members: tuple[Member, ...]
    rejects: tuple[Reject, ...]
    missing: tuple[Reject, ...]
    ignored: Mapping[str, int]
    num_files: int
    fingerprint: str
    source: str = ""
    taxonomy: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    negatives: tuple[Member, ...] = ()
    split_names: tuple[str, ...] = ()

    @property
    def num_ignored(self) -> int:
        """Returns the number of files that are not photos or have no label."""
        return sum(self.ignored.values())


class Opened(nested.Nest, Protocol):
    """An open zip or folder whose files can be read."""

    name: str

    def read(self, entry: Entry, num_bytes: int) -> bytes:
        """Returns the first bytes of a file."""

    def heads(self, entries: Sequence[Entry], num_bytes: int) -> list[bytes]:
        """Returns the first `num_bytes` of several files."""


def read_collection(
    opened: Opened, entries: Sequence[Entry], config: BuildConfig, notes: Sequence[str] = ()
) -> Listing:
    """Finds the photos of a collection and their species; reads the tables but no photo.

    Args:
      opened: open zip or folder.
      entries: all files, in the order in which they were packed.
      config: build config: the user's choices of layout and tables.
      notes: notes for the user about file names.

    Raises:
      UserError: there is no photo, no sensible reading, or more than one.
    """
    layout.check_option(config.layout)
    entries, num_of_runs = _leave_out_runs(opened.name, entries)
    patterns = inventory.patterns(config.ignore)
    inside = nested.open_zips(
        opened,
        entries,
        lambda name: not (inventory.fits(name, patterns) or clutter.is_clutter(name)),
        config.name_encoding,
    )
    entries, notes = inside.entries, [*notes, *inside.notes]
    num_files = len(entries) + num_of_runs
    taken = inventory.take(opened.heads, entries, patterns)
    _refuse_archives(opened.name, taken, inside.unopened)
    photos, rejects, ignored = taken.photos, taken.rejects, taken.ignored
    ignored.update({OF_RUN: num_of_runs} if num_of_runs else {})
    if not photos and not rejects:
        raise UserError(f"no photos in {opened.name}: no file in it is an image{_what_else(ignored)}")
    if not photos:
        return Listing((), tuple(rejects), (), dict(ignored.most_common()), num_files, _fingerprint(entries))
    negatives = _take_negatives(opened.name, photos, config.negatives)
    # Rows of tables may be about photos that are not used: these are not missing.
    unused = {*taken.left_out, *(negative.name for negative in negatives)}
    names = PhotoNames([*photos, *(reject.member for reject in rejects), *unused])
    names.set_aside(unused)
    table_option = outside.within(config.table, opened.name)
    tables_outside = outside.read(table_option)
    found = _read_tables(opened, taken, tables_outside, names, config.name_encoding)
    reader.check_rows(found.tables, len(entries))
    listed = class_names.folders_listed(photos, found.class_lists, found.tables)
    folders = layout.read(photos, "" if config.layout == readings.TABLE else config.layout, listed)
    names.set_aside(folders.ignored)
    columns = config.file_column, config.label_column, config.group_column, config.split_column
    options = Options(table_option, *columns, config.box_format)
    tables = table_labels.annotate(found, names, folders.splits.get, options)
    _forget(tables, {*unused, *(reject.member for reject in rejects)})
    try:
        labels = readings.settle(
            list(photos), folders, tables, found, config.layout, config.split_column, config.group_column,
            inventory.label_patterns(f"{config.ignore},{config.negatives}"),
        )  # fmt: skip
    except readings.NoReadingError as error:
        raise readings.NoReadingError(f"{error}{keywords.hint(opened.heads, entries, list(photos.values()))}") from None
    for name in [name for name, label in labels.labels.items() if not label]:
        labels.rejects[name] = "the name of its folder is blank"
        del labels.labels[name]
    if labels.source.startswith(readings.FOLDERS) and not config.layout:
        masks.check(
            labels.labels,
            lambda name: photos[name].num_bytes,
            lambda name: opened.heads([photos[name]], masks.MAX_BYTES)[0],
        )
    of_labels = _take_labels(opened.name, photos, labels, config)
    negatives = tuple(sorted((*negatives, *of_labels), key=lambda member: member.name))
    ignored.update(labels.ignored.values())
    members = tuple(
        photos[name].member(labels.labels[name], labels.splits.get(name), tables.boxes.get(name, ()))
        for name in sorted(labels.labels)
    )
    return Listing(
        members=members,
        rejects=(*rejects, *(Reject(name, reason) for name, reason in sorted(labels.rejects.items()))),
        missing=tuple(Reject(*row) for row in tables.missing) if not labels.source.startswith(readings.FOLDERS) else (),
        ignored=dict(ignored.most_common()),
        num_files=num_files,
        fingerprint=_fingerprint([*entries, *(outside.entry(*one) for one in tables_outside.items())], members),
        source=labels.source,
        taxonomy=labels.taxonomy,
        groups=labels.groups,
        group_names=tuple(labels.group_names),
        notes=(*notes, *labels.notes),
        negatives=negatives,
        split_names=tuple(labels.split_names),
    )


def _leave_out_runs(source: str, entries: Sequence[Entry]) -> tuple[Sequence[Entry], int]:
    """Returns the entries outside run folders, and the number of the others.

    Otherwise a training into the folder of its photos would find other data when it resumes.

    Raises:
      UserError: the source itself is a run folder.
    """
    folders = clutter.run_folders([entry.name for entry in entries])
    if "" in folders:
        raise UserError(f"{source} is a run folder, not photos: --input takes the photos, --output and --run the run")
    if not folders:
        return entries, 0
    within = tuple(folders)
    others = [entry for entry in entries if not entry.name.startswith(within)]
    return others, len(entries) - len(others)


def _refuse_archives(source: str, taken: inventory.Inventory, unopened: Mapping[str, str]) -> None:
    """Raises a UserError where a collection holds archives, with the reasons why they are not opened."""
    if not taken.archives:
        return
    suffix = PurePosixPath(taken.archives[0]).suffix
    archives = [f"{archive} ({unopened[archive]})" if archive in unopened else archive for archive in taken.archives]
    raise UserError(
        f"{source} holds archives, which are not opened: {some(archives)}; unpack them beside the other files"
        + (f", or leave them out with build.ignore=*{suffix}" if taken.photos else "")
    )


def _read_tables(
    opened: Opened, taken: inventory.Inventory, tables_outside: Mapping[str, bytes], names: PhotoNames, encoding: str
) -> reader.Found:
    """Reads the tables of a collection and those outside it, and names the files that may be tables of other kinds."""
    found = reader.read_tables(
        {name: entry.num_bytes for name, entry in taken.tables.items()}
        | {name: len(content) for name, content in tables_outside.items()},
        lambda name, num_bytes: (
            tables_outside[name][:num_bytes] if name in tables_outside else opened.read(taken.tables[name], num_bytes)
        ),
        names,
        taken.photos,
        encoding,
    )
    for what, names_of_unread in taken.unread.items():
        if not (unread := [name for name in names_of_unread if name not in found.annotations]):
            continue
        shown = unread[0] if len(unread) == 1 else f"{len(unread):,} files like {unread[0]}"
        found.unread[shown] = f"{what} is not read: save it as CSV"
    return found


def _forget(tables: table_labels.Annotations, names: Collection[str]) -> None:
    """Removes what tables say of some photos."""
    for facts in (tables.labels, tables.conflicts, tables.splits, tables.groups, tables.unlabelled, tables.boxes):
        for name in facts.keys() & names:
            del facts[name]


def _what_else(ignored: Counter[str]) -> str:
    """Returns what a collection without photos holds, for its error."""
    found = ", ".join(f"{kind} ({number:,})" for kind, number in ignored.most_common(SHOWN_KINDS))
    packed = next((what for end, what in image_format.PACKED.items() for kind in ignored if kind.startswith(end)), "")
    advice = f"; photos within {packed} are not read: write them as image files first" if packed else ""
    return (f", there are only {found}" if found else "") + advice


def _take_negatives(source: str, photos: dict[str, Entry], listed: str) -> tuple[Member, ...]:
    """Removes the photos that show no species from `photos` and returns them.

    Raises:
      UserError: a pattern matches no photo, or the patterns match all photos.
    """
    for pattern in inventory.patterns(listed):
        if not any(inventory.fits(name, [pattern]) for name in photos):
            raise UserError(f"build.negatives={pattern} fits no photo in {source}")
    taken = [name for name in photos if inventory.fits(name, inventory.patterns(listed))]
    if len(taken) == len(photos):
        raise UserError(f"build.negatives={listed} takes every photo in {source}: none is left to learn from")
    return tuple(photos.pop(name).member("", words.NEGATIVES) for name in sorted(taken))


def _take_labels(
    source: str, photos: Mapping[str, Entry], labels: readings.Labels, config: BuildConfig
) -> list[Member]:
    """Removes the labels that the user leaves out or takes as no species; returns the photos that show none.

    Raises:
      UserError: a pattern matches no label.
    """
    negatives = []
    for option, listed in (("ignore", config.ignore), ("negatives", config.negatives)):
        for pattern in inventory.label_patterns(listed):
            names = [name for name, label in labels.labels.items() if inventory.fits(label, [pattern])]
            if not names:
                raise UserError(f"build.{option}={inventory.OF_LABELS}{pattern} fits no label in {source}")
            for name in names:
                del labels.labels[name]
                if option == "negatives":
                    negatives.append(photos[name].member("", words.NEGATIVES))
                else:
                    labels.ignored[name] = inventory.LEFT_OUT
    return negatives


def _fingerprint(entries: Iterable[Entry], members: Iterable[Member] = ()) -> str:
    lines = sorted(f"{entry.version} {entry.num_bytes} {entry.name}" for entry in entries)
    # With boxes it is another data set than versions that do not know these make of the files.
    lines += [f"{member.name} {member.boxes}" for member in members if member.boxes]
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
