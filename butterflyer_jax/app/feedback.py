"""Keeps visitors' corrections in one SQLite file, and turns them into labels for the builder.

    butterflyer app.feedback --file feedback.sqlite --to labels.csv [--photos FOLDER]

The CSV has the columns filename and label, as the builder expects them in a zip. A photo is identified by the SHA-256
of its file; the newest correction of a photo counts. With --photos, a folder, filename is the path of the photo in it,
independent of the visitor's file name, and photos that are not there are left out.
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
from butterflyer_jax.storage import files, outputs

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

# Longest wait for another program's lock on the file, seconds.
BUSY_SECONDS = 5.0
MAX_LABEL = 100
MAX_NAME = 200
HEADER = ("filename", "label")
# Characters that start a formula in spreadsheets.
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
    """The SQLite file of corrections; thread-safe.

    Raises:
      UserError: the file is not a feedback file, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], photos: KeptPhotos | None = None) -> None:
        """Opens or creates the file.

        Args:
          path: path of the file.
          photos: store for the corrected photos themselves, None for none.
        """
        self.path = Path(path)
        self._photos = photos
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, check_same_thread=False, timeout=BUSY_SECONDS)
            with self._connection:
                # In this mode a reader, such as the export, does not block the page.
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"cannot keep feedback in {path}: {error}") from error

    @property
    def keeps_photos(self) -> bool:
        """Returns whether the photos themselves are kept as well."""
        return self._photos is not None

    def add(self, data: bytes, filename: str, label: str, named: str, probability: float | None) -> str:
        """Stores one correction; returns the SHA-256 of the photo's file, hexadecimal.

        Args:
          data: content of the photo's file, stored only if the store has a folder for photos.
          filename: file name on the visitor's machine, without folders.
          label: species according to the visitor.
          named: species according to the network, empty for none.
          probability: probability given by the network, from 0 to 1.

        Raises:
          ValueError: the data is not an image, or the label is empty, too long, a formula, or contains control
            characters.
          sqlite3.Error, OSError: the correction cannot be stored.
        """
        label = " ".join(label.split())
        if not label or len(label) > MAX_LABEL or not label.isprintable():
            raise ValueError(f"a species is 1 to {MAX_LABEL} printable characters")
        if label.startswith(FORMULA):
            raise ValueError(f"a species does not begin with {label[0]}")
        suffix(data)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._photos is not None:
            self._photos.keep(data, sha256)
        row = (sha256, plain_name(filename), label, named, probability, time.time())
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT INTO feedback (sha256, filename, label, named, probability, unix_seconds) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return sha256

    def labels(self) -> list[tuple[str, str, str]]:
        """Returns (sha256, filename, label) of each photo by its newest correction, in the order of the first ones."""
        with self._lock:
            rows = self._connection.execute("SELECT sha256, filename, label FROM feedback ORDER BY id").fetchall()
        return list({row[0]: row for row in rows}.values())

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()


def plain_name(filename: str) -> str:
    """Returns a visitor's file name without folders and invalid characters, and not as a formula."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip()[-MAX_NAME:].lstrip("".join(FORMULA))
    return name or "unnamed"


def export(
    file: str | os.PathLike[str], to: str | os.PathLike[str], photos: str | os.PathLike[str] | None = None
) -> tuple[int, int]:
    """Writes the labels as a CSV for the builder; returns the numbers of labels and of photos left out.

    Args:
      file: file of a `FeedbackStore`.
      to: path of the CSV; an earlier one is replaced.
      photos: folder of the photos, which are found by hash at any depth.

    Raises:
      UserError: the file or folder is missing, or two corrected photos have the same name.
    """
    outputs.check_file(to, ",".join(HEADER).encode(), "--to")
    if not Path(file).is_file():
        raise UserError(f"no feedback in {file}")
    with closing(FeedbackStore(file)) as store:
        labels = store.labels()
    rows = [(filename, label) for _, filename, label in labels]
    if photos is not None:
        places = _places(Path(photos), {sha256 for sha256, _, _ in labels})
        rows = [(places[sha256], label) for sha256, _, label in labels if sha256 in places]
    [(name, count)] = collections.Counter(name for name, _ in rows).most_common(1) or [("", 0)]
    if count > 1:
        raise UserError(f"{count} photos are called {name}: give their folder with --photos")
    files.write_csv(to, HEADER, rows)
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
    parser.add_argument("--file", required=True, help="feedback file of the application")
    parser.add_argument("--to", required=True, metavar="CSV", help="CSV of labels to write, for the builder")
    parser.add_argument(
        "--photos", "--photographs", metavar="FOLDER", help="folder of the photos, to name them by their paths in it"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    written, left_out = export(args.file, args.to, args.photos)
    say(f"{args.to}: {written} labels" + (f"; {left_out} photos are not in {args.photos}" if left_out else ""))


class KeptPhotos:
    """A folder of photo files, each named by the SHA-256 of its content; thread-safe."""

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        """Opens or creates the folder.

        Args:
          folder: path of the folder.
          max_bytes: bound on the size of all files; further photos are refused.

        Raises:
          UserError: the folder cannot be created.
        """
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._bytes = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            raise UserError(f"cannot keep photos in {folder}: {error.strerror or error}") from error

    def keep(self, data: bytes, sha256: str) -> None:
        """Writes a photo under its hash; the visitor's file name is not used.

        Raises:
          ValueError: the data is not an image.
          OSError: the photo cannot be written, or the folder is full.
        """
        target = self.folder / f"{sha256}{suffix(data)}"
        with self._lock:
            if target.exists():
                return
            if self._bytes + len(data) > self._max_bytes:
                raise OSError(errno.EDQUOT, "the folder of kept photos is full", str(self.folder))
            part = target.with_name(f".{target.name}")
            try:
                part.write_bytes(data)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._bytes += len(data)


def suffix(data: bytes) -> str:
    """Returns the suffix of an image file, by its content.

    Raises:
      ValueError: the data is not an image.
    """
    try:
        with photo.open_image(data) as image:
            return SUFFIXES[str(image.format)]
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's readers raise various exceptions for damaged files.
        raise ValueError("no picture") from error


if __name__ == "__main__":
    cli.run(main)
