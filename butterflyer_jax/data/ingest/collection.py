"""Listing of a zip or folder: photos with species and split, rejects, and ignored files."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Protocol

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import clutter, keywords, layout, nested, readings, words
from butterflyer_jax.data.ingest.folders import masks
from butterflyer_jax.data.ingest.folders.reading import some
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.data.ingest.tables import class_names, outside, reader, sidecars
from butterflyer_jax.data.ingest.tables import labels as table_labels
from butterflyer_jax.data.ingest.tables.matching import PhotoNames
from butterflyer_jax.data.ingest.tables.meaning import Options
from butterflyer_jax.data.ingest.zip_reader import Member, why_unreadable
from butterflyer_jax.errors import UserError

ARCHIVE_SUFFIXES = {".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz", ".txz", ".gz", ".bz2", ".xz", ".zst", ".zipx"}
SHOWN_KINDS = 3
HIDDEN = "hidden"
OF_PAGE = "saved with a web page"
REPLACED = "replaced by a later file of the same name"
LEFT_OUT = "left out by build.ignore"


class NoPhotosError(UserError):
    """A zip or folder contains no photo."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A photo that cannot be used, and the reason; a row of rejects.csv."""

    member: str
    reason: str


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


@dataclass
class _Inventory:
    """The files of a collection, sorted by kind."""

    photos: dict[str, Entry] = field(default_factory=dict)
    tables: dict[str, Entry] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unread: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


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
    patterns = _patterns(config.ignore)
    inside = nested.open_zips(
        opened, entries, lambda name: not (_fits(name, patterns) or clutter.is_clutter(name)), config.name_encoding
    )
    entries, notes = inside.entries, [*notes, *inside.notes]
    inventory = _take_inventory(opened, entries, patterns)
    if inventory.archives:
        suffix = PurePosixPath(inventory.archives[0]).suffix
        archives = [
            f"{archive} ({inside.unopened[archive]})" if archive in inside.unopened else archive
            for archive in inventory.archives
        ]
        raise UserError(
            f"{opened.name} holds archives, which are not opened: {some(archives)}; unpack them "
            f"beside the other files, or leave them out with build.ignore=*{suffix}"
        )
    photos, rejects, ignored = inventory.photos, inventory.rejects, inventory.ignored
    if not photos and not rejects:
        raise NoPhotosError(f"no photos in {opened.name}: no file in it is an image{_what_else(ignored)}")
    if not photos:
        return Listing((), tuple(rejects), (), dict(ignored.most_common()), len(entries), _fingerprint(entries))
    negatives = _take_negatives(opened.name, photos, config.negatives)
    names = PhotoNames([*photos, *(reject.member for reject in rejects)])
    table_option = outside.within(config.table, opened.name)
    tables_outside = outside.read(table_option)
    found = reader.read_tables(
        {name: entry.num_bytes for name, entry in inventory.tables.items()}
        | {name: len(content) for name, content in tables_outside.items()},
        lambda name, num_bytes: (
            tables_outside[name][:num_bytes]
            if name in tables_outside
            else opened.read(inventory.tables[name], num_bytes)
        ),
        names,
        photos,
        config.name_encoding,
    )
    for what, names_of_unread in inventory.unread.items():
        if not (unread := [name for name in names_of_unread if name not in found.annotations]):
            continue
        shown = unread[0] if len(unread) == 1 else f"{len(unread):,} files like {unread[0]}"
        found.unread[shown] = f"{what} is not read: save it as CSV"
    reader.check_rows(found.tables, len(entries))
    listed = class_names.folders_listed(photos, found.class_lists, found.tables)
    folders = layout.read(photos, "" if config.layout == readings.TABLE else config.layout, listed)
    names.set_aside(folders.ignored)
    columns = config.file_column, config.label_column, config.group_column, config.split_column
    options = Options(table_option, *columns, config.box_format)
    tables = table_labels.annotate(found, names, folders.splits.get, options)
    bad = {reject.member for reject in rejects}
    for facts in (tables.labels, tables.conflicts, tables.splits, tables.groups, tables.unlabelled, tables.boxes):
        for name in facts.keys() & bad:
            del facts[name]
    try:
        labels = readings.settle(
            list(photos), folders, tables, found, config.layout, config.split_column, config.group_column
        )
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
        num_files=len(entries),
        fingerprint=_fingerprint([*entries, *(outside.entry(*one) for one in tables_outside.items())], members),
        source=labels.source,
        taxonomy=labels.taxonomy,
        groups=labels.groups,
        group_names=tuple(labels.group_names),
        notes=(*notes, *labels.notes),
        negatives=negatives,
        split_names=tuple(labels.split_names),
    )


def _what_else(ignored: Counter[str]) -> str:
    """Returns what a collection without photos holds, for its error."""
    found = ", ".join(f"{kind} ({number:,})" for kind, number in ignored.most_common(SHOWN_KINDS))
    packed = next((what for end, what in image_format.PACKED.items() for kind in ignored if kind.startswith(end)), "")
    advice = f"; photos within {packed} are not read: write them as image files first" if packed else ""
    return (f", there are only {found}" if found else "") + advice


def _patterns(listed: str) -> list[str]:
    return [pattern.strip() for pattern in listed.split(",") if pattern.strip()]


def _take_negatives(source: str, photos: dict[str, Entry], listed: str) -> tuple[Member, ...]:
    """Removes the photos that show no species from `photos` and returns them.

    Raises:
      UserError: a pattern matches no photo, or the patterns match all photos.
    """
    for pattern in _patterns(listed):
        if not any(_fits(name, [pattern]) for name in photos):
            raise UserError(f"build.negatives={pattern} fits no photo in {source}")
    taken = [name for name in photos if _fits(name, _patterns(listed))]
    if len(taken) == len(photos):
        raise UserError(f"build.negatives={listed} takes every photo in {source}: none is left to learn from")
    return tuple(photos.pop(name).member("", words.NEGATIVES) for name in sorted(taken))


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns for text in (name, posixpath.basename(name)))


def _take_inventory(opened: Opened, entries: Iterable[Entry], patterns: Sequence[str]) -> _Inventory:
    result = _Inventory()
    latest: dict[str, Entry] = {}
    images: list[Entry] = []
    unknown: list[Entry] = []
    for entry in entries:
        if entry.name in latest:
            result.ignored[REPLACED] += 1
        latest[entry.name] = entry
    pages = clutter.page_folders(latest)
    for name, entry in latest.items():
        suffix = posixpath.splitext(name)[1].lower()
        if _fits(name, patterns):
            result.ignored[LEFT_OUT] += 1
        elif pages and posixpath.dirname(name) in pages:
            result.ignored[OF_PAGE] += 1
        elif clutter.is_clutter(name):
            result.ignored[HIDDEN] += 1
        elif suffix in image_format.SUFFIXES:
            images.append(entry)
        elif entry.problem:
            result.ignored[entry.problem] += 1
        elif suffix in ARCHIVE_SUFFIXES:
            result.archives.append(name)
        else:
            unknown.append(entry)
    for entry, head in zip(unknown, opened.heads(unknown, image_format.HEAD_BYTES), strict=True):
        suffix = posixpath.splitext(entry.name)[1].lower()
        if image_format.sniff(head):
            images.append(entry)
            continue
        result.ignored[suffix or "without suffix"] += 1
        if suffix in reader.SUFFIXES | sidecars.SUFFIXES and entry.num_bytes and not _unusable(entry):
            result.tables[entry.name] = entry
        if what := reader.why_unread(entry.name):
            result.unread[what].append(entry.name)
    for entry in sorted(images, key=lambda entry: entry.name):
        if reason := _unusable(entry):
            result.rejects.append(Reject(entry.name, reason))
        else:
            result.photos[entry.name] = entry
    return result


def _unusable(entry: Entry) -> str:
    if entry.name.startswith("/") or ".." in entry.name.split("/") or re.match("[A-Za-z]:", entry.name):
        return "name climbs out of the folder"
    reason = entry.problem or (why_unreadable(entry.packed) if entry.packed else "")
    return reason or ("" if entry.num_bytes else "zero bytes")


def _fingerprint(entries: Iterable[Entry], members: Iterable[Member] = ()) -> str:
    lines = sorted(f"{entry.version} {entry.num_bytes} {entry.name}" for entry in entries)
    # With boxes it is another data set than versions that do not know these make of the files.
    lines += [f"{member.name} {member.boxes}" for member in members if member.boxes]
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
