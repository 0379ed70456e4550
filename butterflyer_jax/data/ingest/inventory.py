"""Inventory of a collection: its files sorted into photos, tables, archives, rejects and what is ignored."""

from __future__ import annotations

import contextlib
import fnmatch
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from butterflyer_jax.data import image_format, photo
from butterflyer_jax.data.ingest import clutter
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.data.ingest.tables import reader, sidecars
from butterflyer_jax.data.ingest.zip_reader import why_unreadable

ARCHIVE_SUFFIXES = {".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz", ".txz", ".gz", ".bz2", ".xz", ".zst", ".zipx"}
HIDDEN = "hidden"
# A camera's thumbnail of a video is a JPEG.
OF_VIDEO = ".thm"
OF_PAGE = "saved with a web page"
REPLACED = "replaced by a later file of the same name"
BESIDE_PHOTO = "of a format that is not read, beside the same photo"
LEFT_OUT = "left out by build.ignore"
# Begins a pattern of build.ignore and build.negatives that is about labels, not files.
OF_LABELS = "label:"


@dataclass(frozen=True, slots=True)
class Reject:
    """A photo that cannot be used, and the reason; a row of rejects.csv."""

    member: str
    reason: str


@dataclass
class Inventory:
    """The files of a collection, sorted by kind."""

    photos: dict[str, Entry] = field(default_factory=dict)
    tables: dict[str, Entry] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unread: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def patterns(listed: str) -> list[str]:
    """Returns the patterns of files in a list with commas between them."""
    return [pattern for pattern in _split(listed) if not pattern.startswith(OF_LABELS)]


def label_patterns(listed: str) -> list[str]:
    """Returns the patterns of labels in such a list: "label:unknown" is about photos that a table calls unknown."""
    return [pattern.removeprefix(OF_LABELS) for pattern in _split(listed) if pattern.startswith(OF_LABELS)]


def _split(listed: str) -> list[str]:
    return [pattern.strip() for pattern in listed.split(",") if pattern.strip()]


def fits(name: str, listed: Iterable[str]) -> bool:
    """Returns whether the path or the name of a file fits one of the patterns."""
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in listed for text in (name, posixpath.basename(name)))


def take(
    heads: Callable[[Sequence[Entry], int], list[bytes]], entries: Iterable[Entry], left_out: Sequence[str]
) -> Inventory:
    """Sorts the files of a collection by suffix, and by content where the suffix says nothing.

    Args:
      heads: returns the first bytes of files, given their number.
      entries: all files, in the order in which they were packed.
      left_out: patterns of files that the user leaves out.
    """
    result = Inventory()
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
        if fits(name, left_out):
            result.ignored[LEFT_OUT] += 1
            if suffix in image_format.SUFFIXES:
                result.left_out.append(name)
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
    for entry, head in zip(unknown, heads(unknown, image_format.HEAD_BYTES), strict=True):
        suffix = posixpath.splitext(entry.name)[1].lower()
        if image_format.sniff(head) and suffix != OF_VIDEO:
            images.append(entry)
            continue
        result.ignored[suffix or "without suffix"] += 1
        if suffix in reader.SUFFIXES | sidecars.SUFFIXES and entry.num_bytes and not _unusable(entry):
            result.tables[entry.name] = entry
        if what := reader.why_unread(entry.name):
            result.unread[what].append(entry.name)
    images = _without_raws(images, result)
    unread = _unread(heads, [entry for entry in images if not _unusable(entry)])
    for entry in sorted(images, key=lambda entry: entry.name):
        if reason := _unusable(entry) or unread.get(entry.name, ""):
            result.rejects.append(Reject(entry.name, reason))
        else:
            result.photos[entry.name] = entry
    return result


def _without_raws(images: Sequence[Entry], result: Inventory) -> list[Entry]:
    """Returns the images but for those of a format that is not read beside a photo of that name: 1.ARW beside 1.JPG."""
    kinds = [posixpath.splitext(entry.name) for entry in images]
    read = {stem.casefold() for stem, suffix in kinds if suffix.lower() not in image_format.OTHER_SUFFIXES}
    left = [
        entry
        for entry, (stem, suffix) in zip(images, kinds, strict=True)
        if suffix.lower() not in image_format.OTHER_SUFFIXES or stem.casefold() not in read
    ]
    if len(left) < len(images):
        result.ignored[BESIDE_PHOTO] += len(images) - len(left)
    return left


def _unread(heads: Callable[[Sequence[Entry], int], list[bytes]], images: Sequence[Entry]) -> dict[str, str]:
    """Returns the reasons why images cannot be read where their names or sizes leave a doubt and their heads tell."""
    doubtful = [
        entry
        for entry in images
        if entry.num_bytes <= image_format.HEAD_BYTES
        or posixpath.splitext(entry.name)[1].lower() in image_format.OTHER_SUFFIXES
    ]
    reasons = {}
    for entry, head in zip(doubtful, heads(doubtful, image_format.HEAD_BYTES), strict=True):
        # A head alone may not hold the directory of a TIFF: then decoding tells.
        with contextlib.suppress(Exception):
            if head and (reason := photo.why_unsupported(head)):
                reasons[entry.name] = reason
        if head and (instead := image_format.what_instead(head)):
            reasons[entry.name] = f"not decodable: no image format recognised{instead}"
    return reasons


def _unusable(entry: Entry) -> str:
    if ".." in entry.name.split("/"):
        return "name climbs out of the folder"
    reason = entry.problem or (why_unreadable(entry.packed) if entry.packed else "")
    return reason or ("" if entry.num_bytes else "zero bytes")
