"""Reading, writing and copying files, local or gs://. Every error that a user can fix is a UserError.

A written file is complete or absent: a killed program leaves no partial file under the final name. Requests to a bucket
are retried by the policy of `storage.retry`.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import glob as glob_lib
import io
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from etils import epath

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import bucket, open_files, retry
from butterflyer_jax.storage.errors import access, words_of
from butterflyer_jax.storage.find import files_below
from butterflyer_jax.storage.paths import is_remote, path
from butterflyer_jax.storage.remote_file import open_remote

Name = str | os.PathLike[str]
_NO_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def read_bytes(name: Name) -> bytes:
    """Returns the content of a file.

    Raises:
      UserError: the file is missing or cannot be read.
    """
    with access(name):
        if is_remote(name):
            return retry.call(name, "cat_file")
        return _regular(name).read_bytes()


def read_text(name: Name) -> str:
    """Returns the content of a UTF-8 text file.

    Raises:
      UserError: the file is missing, cannot be read, or is not text.
    """
    try:
        return read_bytes(name).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{os.fspath(name)} is damaged: not text in UTF-8 ({words_of(error)})") from error


def read_range(name: Name, offset: int, num_bytes: int) -> bytes:
    """Returns `num_bytes` of a file from `offset` on, fewer at its end; only this range of a gs:// file is fetched.

    Raises:
      UserError: the file is missing or cannot be read.
    """
    with access(name):
        if is_remote(name):
            return retry.call(name, "cat_file", offset, offset + num_bytes)
        with _regular(name).open("rb", buffering=0) as file:
            return open_files.read_at(file, num_bytes, offset)


def open_file(name: Name) -> BinaryIO:
    """Opens a file for reading; of a gs:// file only the ranges that are read are fetched.

    Raises:
      UserError: the file is missing or cannot be read; the methods of the returned file raise it too.
    """
    with access(name):
        if is_remote(name):
            return open_remote(os.fspath(name))
        return _regular(name).open("rb")


def exists(name: Name) -> bool:
    """Returns whether a file or folder exists.

    Raises:
      UserError: the bucket does not exist or cannot be reached.
    """
    return _kind(name) is not None


def is_folder(name: Name) -> bool:
    """Returns whether a folder exists.

    Raises:
      UserError: the bucket does not exist or cannot be reached.
    """
    return _kind(name) == "directory"


@contextlib.contextmanager
def whole_file(name: Name, what: str = "", advice: str = "") -> Iterator[epath.Path]:
    """Yields a temporary path, which is renamed to `name` at the end of the block, or removed after an error.

    Missing parent folders are created.

    Args:
      name: final path of the file, local or gs://.
      what: description of the content, for error messages.
      advice: remedy where the disk refuses; by default one that fits the error.

    Raises:
      UserError: no space or no permission; an existing file stays as it was.
    """
    target = path(name)
    with access(target, "write", what, advice):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{_shortened(target.name)}.{uuid.uuid4().hex}"
        try:
            yield temporary
            if not is_remote(target):
                # Without fsync a machine that loses power may keep the name and lose the content.
                with Path(temporary).open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def writing(name: Name) -> Iterator[BinaryIO]:
    """Opens a new file for bytes, which takes its name at the end of the block; raises as `whole_file` does."""
    with whole_file(name) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(name: Name, data: bytes) -> None:
    """Writes a file atomically; raises as `whole_file` does."""
    if is_remote(name):
        with access(name, "write"):
            # Uploads to a bucket are atomic by themselves.
            retry.call(name, "pipe_file", data)
        return
    with whole_file(name) as temporary:
        temporary.write_bytes(data)


def write_text(name: Name, text: str) -> None:
    """Writes a UTF-8 text file atomically; raises as `whole_file` does."""
    # Names from a zip may contain lone surrogates; they are written in their escaped form.
    write_bytes(name, text.encode("utf-8", "backslashreplace"))


def write_json(name: Name, content: Any) -> None:
    """Writes a JSON file that people read as well, atomically; raises as `whole_file` does."""
    write_text(name, json.dumps(content, indent=2, ensure_ascii=False))


def write_csv(name: Name, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file with a header atomically; raises as `whole_file` does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(name, text.getvalue())


def make_folder(name: Name) -> None:
    """Creates a folder and its parents; does nothing in a bucket.

    Raises:
      UserError: no permission, or a file is in the way.
    """
    if not is_remote(name):
        with access(name, "write"):
            path(name).mkdir(parents=True, exist_ok=True)


def copy(source: Name, target: Name) -> None:
    """Copies a file, or all files of a folder, between disks and buckets; each copy is complete or absent.

    Raises:
      UserError: the source is missing or cannot be read, or the target cannot be written.
    """
    if not is_folder(source):
        _copy_file(source, target)
        return
    above = os.fspath(path(source)).rstrip("/") + "/"
    for name in files_below(source):
        _copy_file(name, path(target) / os.fspath(name).removeprefix(above))


def move(source: Name, target: Name) -> None:
    """Moves a file, also between file systems and into a bucket.

    Raises:
      UserError: the target cannot be written.
    """
    origin, goal = path(source), path(target)
    with access(goal, "write"):
        if is_remote(origin) == is_remote(goal):
            try:
                origin.replace(goal)
                return
            except OSError as error:
                # The target is on another file system.
                if error.errno != errno.EXDEV:
                    raise
        _copy_file(origin, goal)
        origin.unlink()


def remove(name: Name) -> None:
    """Removes a file, or a folder with its content; does nothing where it is missing.

    Raises:
      UserError: the file or folder cannot be removed.
    """
    target, kind = path(name), _kind(name)
    if kind is None:
        return
    with access(target, "write"):
        if is_remote(target):
            filesystem, inner = bucket.connect(os.fspath(target))
            with contextlib.suppress(FileNotFoundError):
                # epath's own method would read brackets in a name as a pattern.
                retry.policy()(filesystem.rm, glob_lib.escape(inner), recursive=kind == "directory")
        elif kind == "directory":
            target.rmtree(missing_ok=True)
        else:
            target.unlink(missing_ok=True)


def parallel_reads(name: Name) -> int:
    """Returns how many parallel reads pay off: in a bucket each takes tens of milliseconds."""
    return 16 if is_remote(name) else 1


def _copy_file(source: Name, target: Name) -> None:
    """Copies a file in chunks, as it may be larger than the memory."""
    origin, goal = path(source), path(target)
    if is_remote(goal):
        if is_remote(origin):
            write_bytes(goal, read_bytes(origin))
            return
        filesystem, inner = bucket.connect(os.fspath(goal))
        with access(goal, "write"):
            retry.policy()(filesystem.put_file, os.fspath(origin), inner)
        return
    with whole_file(goal) as temporary:
        if not is_remote(origin):
            with access(origin):
                origin.copy(temporary)
            return
        with access(origin):
            retry.call(origin, "get_file", os.fspath(temporary))


def _regular(name: Name) -> Path:
    """Returns a local path; raises a UserError for a device or a pipe, whose reading may never end."""
    file = Path(path(name))
    kind = _NO_FILES.get(stat.S_IFMT(file.stat().st_mode))
    if kind:
        raise UserError(f"cannot read {os.fspath(name)}: it is {kind}, not a file")
    return file


def _kind(name: Name) -> str | None:
    with access(name):
        if not is_remote(name):
            local = Path(path(name))
            return "directory" if local.is_dir() else "file" if local.exists() else None
        try:
            kind: str = retry.call(name, "info")["type"]
        except FileNotFoundError:
            if bucket.is_missing(os.fspath(name)):
                raise
            return None
    return kind


def _shortened(name: str) -> str:
    # File names have at most 255 bytes on most systems, and the temporary name is 34 bytes longer.
    return os.fsdecode(os.fsencode(name)[:200])
