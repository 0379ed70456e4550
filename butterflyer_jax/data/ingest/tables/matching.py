"""Matching of table cells to photos."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from urllib.parse import unquote

# Prefix that Label Studio adds to the name of an uploaded file.
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
# Where the last part of a URL is a size, the one before numbers the photo: photos/123/medium.jpg of iNaturalist.
_SIZE = re.compile(r"(?:original|large|medium|small|square|thumb)\.\w{3,4}", re.IGNORECASE)
_Key = Callable[[str], str]


def spelt(filename: str) -> str:
    """Returns a table's path in the form of collection paths: with slashes, without ./ and without a URL's query."""
    path = filename.strip().replace("\\", "/")
    if "://" in path:
        path = unquote(re.split(r"[?#]", path)[0])
    return re.sub(r"^(?:\./)+", "", path)


class PhotoNames:
    """Index of photos by their whole path or its end."""

    def __init__(self, photos: Iterable[str]) -> None:
        # Paths are strings: pathlib is ten times as slow, and there may be a million.
        self._parts = {photo: photo.split("/") for photo in set(photos)}
        # {(number of parts or 0 for all, spelling): {end of the path: photos}}, filled on first use.
        self._ends: dict[tuple[int, _Key], dict[str, list[str]]] = {}
        self._identifiers: dict[str, list[str]] | None = None
        self._folders: dict[str, list[str]] | None = None
        self._aside: Collection[str] = frozenset()

    def set_aside(self, photos: Collection[str]) -> None:
        """Prefers all others to these images, such as masks, where a cell may name several."""
        self._aside = {*self._aside, *photos}

    def __len__(self) -> int:
        """Returns the number of photos."""
        return len(self._parts)

    def __contains__(self, name: str) -> bool:
        """Returns whether a photo has this file name."""
        return bool(self._ending(1, _exact).get(name))

    def find(self, filename: str, table: str = "", prefix: int = 0, identifiers: bool = True) -> list[str]:
        """Returns the photos that a cell may name: none, one, or several with the same end of the path.

        By path, by path relative to the table, by the end of the path; then the same ignoring case and the form of
        accents, then without the suffix. Last, a number may match the start of file names.

        Args:
            filename: text of the cell.
            table: path of the table, if it lies among the photos.
            prefix: number of leading folders that all cells of the column share, which may lie outside the collection.
            identifiers: whether to match numbers at the start of file names.
        """
        path = spelt(filename)
        if not path or path.endswith("/"):
            return []
        aside: list[str] = []
        for name in self._spellings(path, prefix):
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(table), name))
            depth = name.count("/") + 1
            suffixed = "." in name.rpartition("/")[2]
            for key in (_exact, _fold, _jpeg, _spaced, _stem) if suffixed else (_exact, _fold, _stem):
                for wanted, length in ((name, 0), (beside, 0), (name, depth)):
                    found = self._ending(length, key).get(_fold(wanted) if key is _stem else key(wanted), [])
                    if kept := self._kept(found):
                        return kept
                    aside = aside or found
        if aside or not identifiers or "/" in path:
            return aside
        found = self._by_identifier(path) or self._by_number(path)
        return self._kept(found) or found

    def _kept(self, found: Sequence[str]) -> list[str]:
        return [photo for photo in found if photo not in self._aside]

    def in_folder(self, cell: str) -> list[str]:
        """Returns the photos in a folder of this name, at any depth."""
        if self._folders is None:
            self._folders = {}
            for photo, parts in self._parts.items():
                for folder in set(map(_fold, parts[:-1])):
                    self._folders.setdefault(folder, []).append(photo)
        return self._folders.get(_fold(spelt(cell).rstrip("/").rpartition("/")[2]), [])

    def _spellings(self, path: str, prefix: int) -> Iterator[str]:
        """Yields a path, then its ends where its start may lie outside the collection."""
        parts = path.split("/")
        for start in range(prefix + 1):
            yield "/".join(parts[start:])
        # More folders may lie outside the collection where the rest is the whole path of a photo.
        for start in range(prefix + 1, len(parts) - 1):
            end = "/".join(parts[start:])
            if end in self._parts:
                yield end
        if len(parts) > 1 and parts[-2].isdigit() and _SIZE.fullmatch(parts[-1]):
            yield parts[-2]
        if _UPLOAD.match(parts[-1]):
            yield _UPLOAD.sub("", parts[-1], count=1)

    def _ending(self, length: int, key: _Key) -> dict[str, list[str]]:
        if (length, key) not in self._ends:
            by_end: dict[str, list[str]] = {}
            for photo, parts in self._parts.items():
                if length <= len(parts):
                    end = "/".join(parts[-length:]) if length else photo
                    by_end.setdefault(key(end), []).append(photo)
            self._ends[length, key] = by_end
        return self._ends[length, key]

    def _by_identifier(self, cell: str) -> list[str]:
        if self._identifiers is None:
            self._identifiers = {}
            for photo, parts in self._parts.items():
                beginning = re.match(r"([0-9a-f-]{36}|[\w()]*?\d+)(?=[-_. ])", parts[-1], re.IGNORECASE)
                if beginning:
                    self._identifiers.setdefault(_fold(beginning[1]), []).append(photo)
        return self._identifiers.get(_fold(cell), [])

    def _by_number(self, name: str) -> list[str]:
        """Returns the photos of a number, which may have lost its leading zeros in a spreadsheet."""
        return self._ending(1, _number).get(_number(name), []) if name[0].isdigit() else []


def common_prefix(cells: Iterable[str]) -> int:
    """Returns the number of leading folders that all paths of a column share."""
    folders = [spelt(cell).split("/")[:-1] for cell in cells if cell.strip()]
    if not folders:
        return 0
    first, last = min(folders), max(folders)
    return next(
        (n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last))
    )


def narrowed(found: Sequence[str], fits: Iterable[Callable[[str], bool]]) -> list[str]:
    """Returns the photos that pass the first test which some but not all of them pass."""
    left = list(found)
    for test in fits:
        some = [photo for photo in left if test(photo)]
        if some:
            left = some
    return left


def _exact(name: str) -> str:
    return name


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _jpeg(name: str) -> str:
    return re.sub(r"\.(?:jpeg|jpe|jfif)$", ".jpg", _fold(name))


def _spaced(name: str) -> str:
    """Returns a file name with what programs put in place of its spaces: "IMG 1.jpg" is IMG_1.jpg."""
    return re.sub(r"[\s_+]+", "_", _jpeg(name))


def _number(name: str) -> str:
    """Returns "1" for 0001.jpg; for other names a text that equals no number."""
    stem = posixpath.splitext(name)[0]
    return str(int(stem)) if stem.isdecimal() else name


def _stem(name: str) -> str:
    return _fold(posixpath.splitext(name)[0])
