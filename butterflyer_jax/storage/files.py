"""Files, local or gs://, written so that a killed program leaves nothing that reads as whole."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from etils import epath

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage.paths import is_remote, path

# Orbax, TensorStore and TFDS each wrap the operating system's error in one of their own, and keep its words.
REFUSALS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Permission denied",
    "Read-only file system",
    "Not a directory",
    "File exists",
)


@contextlib.contextmanager
def whole_file(name: str | os.PathLike[str]) -> Iterator[epath.Path]:
    """Yields a temporary path to write to, which takes its name once the block ends well, and is gone if it does not.

    Missing parent folders are made.

    Raises:
      OSError: no space, no permission; the old file, if any, is untouched.
    """
    target = path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        yield temporary
        if not is_remote(target):
            # Or a machine that loses power may keep the name and lose the content.
            with Path(temporary).open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(name: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text file in UTF-8, as `whole_file` does."""
    # A zip's names may hold what is no Unicode; they are written as they would be shown.
    write_bytes(name, text.encode("utf-8", "backslashreplace"))


def write_bytes(name: str | os.PathLike[str], data: bytes) -> None:
    """Writes a whole file, as `whole_file` does."""
    if os.fspath(name).startswith("gs://"):
        from butterflyer_jax.storage import remote

        # An object is whole or absent by itself.
        remote.write_bytes(os.fspath(name), data)
        return
    with whole_file(name) as temporary:
        temporary.write_bytes(data)


def write_csv(name: str | os.PathLike[str], header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a whole CSV file with a header, as `whole_file` does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(name, text.getvalue())


def read_range(name: str | os.PathLike[str], offset: int, num_bytes: int) -> bytes:
    """Returns `num_bytes` of a file from `offset` on, fewer at its end; of a gs:// file nothing else is read."""
    if is_remote(name):
        import fsspec

        filesystem, inner = fsspec.core.url_to_fs(os.fspath(name))
        result: bytes = filesystem.cat_file(inner, offset, offset + num_bytes)
        return result
    with Path(name).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), num_bytes, offset)


def move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Moves a file, also from a disk to a bucket."""
    origin, goal = path(source), path(target)
    if is_remote(origin) == is_remote(goal):
        try:
            origin.replace(goal)
            return
        except OSError as error:
            # Another disk.
            if error.errno != errno.EXDEV:
                raise
    origin.copy(goal, overwrite=True)
    origin.unlink()


@contextlib.contextmanager
def writing(what: str, advice: str) -> Iterator[None]:
    """Turns a disk's refusal within the block into a UserError: "cannot write <what>: <refusal>; <advice>"."""
    try:
        yield
    except UserError:
        # Said already, by whoever was nearer.
        raise
    except Exception as error:
        refusal = next((words for words in REFUSALS if words in str(error)), None)
        if refusal is None:
            raise
        raise UserError(f"cannot write {what}: {refusal}; {advice}") from error
