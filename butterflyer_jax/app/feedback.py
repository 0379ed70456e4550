"""What visitors say of the names they were given, in one SQLite file; exported as labels for the builder.

    butterflyer app.feedback --file feedback.sqlite --to labels.csv [--photographs FOLDER]

The CSV has the columns filename and label, as the builder takes them in a zip. A picture is known by the SHA-256 of its
file; of one that was spoken of several times the newest word counts. With --photographs, a folder, filename is the
place of the picture in it, whatever the visitor's file was called, and pictures that are not there are left out.
"""

from __future__ import annotations

import collections
import errno
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from butterflyer_jax import cli
from butterflyer_jax.console import say
from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files

SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "GIF": ".gif",
    "TIFF": ".tif",
    "HEIF": ".heic",
    "AVIF": ".avif",
}

# That another program may hold the file.
BUSY_SECONDS = 5.0
MAX_LABEL = 100
MAX_NAME = 200
# What a spreadsheet that opens the CSV takes for a formula.
FORMULA = ("=", "+", "-", "@")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL,
  filename TEXT NOT NULL,
  label TEXT NOT NULL,
  named TEXT NOT NULL,
  probability REAL,
  unix_seconds REAL NOT NULL
)
"""


class FeedbackStore:
    """The file; safe to use from several threads.

    Raises:
      UserError: it is no file of feedback, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], photographs: KeptPhotographs | None = None) -> None:
        """Opens or makes the file.

        Args:
          path: of the file.
          photographs: where the pictures that visitors speak of are kept too.
        """
        self.path = Path(path)
        self._photographs = photographs
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, check_same_thread=False, timeout=BUSY_SECONDS)
            with self._connection:
                # A reader, such as the export, does not hold up the page.
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"cannot keep feedback in {path}: {error}") from error

    @property
    def keeps_photographs(self) -> bool:
        """Returns whether pictures are kept beside the words."""
        return self._photographs is not None

    def add(self, data: bytes, filename: str, label: str, named: str, probability: float | None) -> str:
        """Keeps one word; returns the SHA-256 of the picture's file, hexadecimal.

        Args:
          data: the picture's file. It is not kept unless the store has a folder for it.
          filename: as the visitor's machine called it; without its folder.
          label: the species that the visitor says it is.
          named: the species that the network said, empty where it said none.
          probability: that it gave.

        Raises:
          ValueError: it is no picture; or the label is empty, too long, holds control characters, or is a formula.
          sqlite3.Error, OSError: it cannot be kept.
        """
        label = " ".join(label.split())
        if not label or len(label) > MAX_LABEL or not label.isprintable():
            raise ValueError(f"a species is 1 to {MAX_LABEL} printable characters")
        if label.startswith(FORMULA):
            raise ValueError(f"a species does not begin with {label[0]}")
        suffix(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._photographs is not None:
            self._photographs.keep(data, sha256)
        row = (sha256, plain_name(filename), label, named, probability, time.time())
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO feedback (sha256, filename, label, named, probability, unix_seconds) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return sha256

    def labels(self) -> list[tuple[str, str, str]]:
        """Returns (sha256, filename, label) of each picture, by the newest word on it, in the order of the first."""
        with self._lock:
            rows = self._connection.execute("SELECT sha256, filename, label FROM feedback ORDER BY id").fetchall()
        newest: dict[str, tuple[str, str, str]] = {}
        for row in rows:
            newest[row[0]] = row
        return list(newest.values())

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


def plain_name(filename: str) -> str:
    """Returns a visitor's file name without folders, without what no file name holds, and as no formula."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip()[-MAX_NAME:].lstrip("".join(FORMULA))
    return name or "unnamed"


def export(
    file: str | os.PathLike[str], to: str | os.PathLike[str], photographs: str | os.PathLike[str] | None = None
) -> tuple[int, int]:
    """Writes the labels as a CSV that the builder takes; returns how many, and how many pictures were left out.

    Args:
      file: of a `FeedbackStore`.
      to: the CSV; an old one is replaced.
      photographs: folder with the pictures, found by their hashes at any depth.

    Raises:
      UserError: there is no such file or folder, or two pictures that were spoken of have one name.
    """
    if not Path(file).is_file():
        raise UserError(f"no feedback in {file}")
    with closing(FeedbackStore(file)) as store:
        labels = store.labels()
    rows = [(filename, label) for _, filename, label in labels]
    if photographs is not None:
        places = _places(Path(photographs), {sha256 for sha256, _, _ in labels})
        rows = [(places[sha256], label) for sha256, _, label in labels if sha256 in places]
    [(name, count)] = collections.Counter(name for name, _ in rows).most_common(1) or [("", 0)]
    if count > 1:
        raise UserError(f"{count} pictures are called {name}: give their folder with --photographs")
    files.write_csv(to, ["filename", "label"], rows)
    return len(rows), len(labels) - len(rows)


def _places(folder: Path, wanted: set[str]) -> dict[str, str]:
    if not folder.is_dir():
        raise UserError(f"no such folder: {folder}")
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            if sha256 in wanted:
                found.setdefault(sha256, path.relative_to(folder).as_posix())
    return found


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer app.feedback", description=__doc__)
    parser.add_argument("--file", required=True, help="that the application keeps feedback in")
    parser.add_argument("--to", required=True, metavar="CSV", help="labels for the builder")
    parser.add_argument("--photographs", metavar="FOLDER", help="where the pictures are, to name them by their places")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    written, left_out = export(args.file, args.to, args.photographs)
    say(f"{args.to}: {written} labels" + (f"; {left_out} pictures are not in {args.photographs}" if left_out else ""))


class KeptPhotographs:
    """A folder of picture files, each under the SHA-256 of its content; safe to use from several threads."""

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        """Opens or makes the folder.

        Args:
          folder: of the pictures.
          max_bytes: of all files in it; further pictures are refused.

        Raises:
          UserError: it cannot be made.
        """
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._bytes = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            raise UserError(f"cannot keep photographs in {folder}: {error.strerror or error}") from error

    def keep(self, data: bytes, sha256: str) -> None:
        """Writes a picture under its hash alone: a visitor's name for it decides nothing.

        Raises:
          ValueError: it is no picture.
          OSError: it cannot be written, or the folder is full.
        """
        target = self.folder / f"{sha256}{suffix(data)}"
        with self._lock:
            if target.exists():
                return
            if self._bytes + len(data) > self._max_bytes:
                raise OSError(errno.EDQUOT, "the folder of kept photographs is full", str(self.folder))
            part = target.with_name(f".{target.name}")
            try:
                part.write_bytes(data)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._bytes += len(data)


def suffix(data: bytes) -> str:
    """Returns the suffix of a picture file, by its content.

    Raises:
      ValueError: it is no picture.
    """
    try:
        with photo.open_image(data) as image:
            return SUFFIXES[str(image.format)]
    except MemoryError:
        raise
    except Exception as error:
        # A damaged file makes Pillow's readers raise whatever they trip over.
        raise ValueError("no picture") from error


if __name__ == "__main__":
    cli.run(main)
