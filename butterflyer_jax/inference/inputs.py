"""Inputs of `predict` as single images: files, folders, patterns, zips, URLs and lists of these."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import raw_zip, zip_reader
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, find, paths

LIST = "-"
MAX_URL_BYTES = 100 << 20
# Without any answer, and for a whole image.
TIMEOUT_SECONDS = 30
TOTAL_SECONDS = 120
_PATTERN = "*?["


@dataclass(frozen=True)
class Picture:
    """An image file by its name; its bytes are read on demand."""

    name: str

    def read(self) -> bytes:
        """Returns the picture file.

        Raises:
          UserError: it cannot be read.
        """
        return read_url(self.name) if is_url(self.name) else files.read_bytes(self.name)


@dataclass(frozen=True)
class Member(Picture):
    """An image file in a zip; of a zip in a bucket no other part is read for it."""

    archive: str
    member: zip_reader.Member
    unreadable: str

    def read(self) -> bytes:
        """Returns the picture file.

        Raises:
          UserError: it is damaged or encrypted, or the zip cannot be read.
        """
        if self.unreadable:
            raise UserError(f"not readable in the zip: {self.unreadable}")
        try:
            return zip_reader.MemberReader(self.archive, [self.member]).read(self.member)
        except zip_reader.DamagedMember as error:
            raise UserError(f"not readable in the zip: {error}") from error


@dataclass(frozen=True)
class Nothing(Picture):
    """A name that matches no image file."""

    reason: str

    def read(self) -> bytes:
        """Raises a UserError with the reason."""
        raise UserError(self.reason)


def is_url(name: Any) -> bool:
    """Returns whether a name is an http or https URL."""
    return isinstance(name, str) and name.lower().startswith(("http://", "https://"))


def read_url(url: str) -> bytes:
    """Returns the content of a URL, 100 MiB at most.

    Raises:
      UserError: the URL cannot be read, takes longer than two minutes, or its content is larger.
    """
    results: list[bytes | Exception] = []

    def fetch() -> None:
        try:
            results.append(_fetch(url))
        except Exception as error:
            results.append(error)

    # A server that sends its header a byte a second cannot be left otherwise.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(TOTAL_SECONDS)
    result = results[0] if results else UserError(f"slower than {TOTAL_SECONDS} s")
    if isinstance(result, Exception):
        raise result
    return result


def _fetch(url: str) -> bytes:
    import http.client
    import urllib.error
    import urllib.request

    data = bytearray()
    deadline = time.monotonic() + TOTAL_SECONDS
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "butterflyer_jax"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            # Nobody waits for it after the deadline.
            while len(data) <= MAX_URL_BYTES and time.monotonic() < deadline and (chunk := answer.read1(1 << 16)):
                data += chunk
    except urllib.error.HTTPError as error:
        raise UserError(str(error)) from error
    except (http.client.HTTPException, ValueError, OSError) as error:
        raise UserError(f"no answer: {error}") from error
    if len(data) > MAX_URL_BYTES:
        raise UserError(f"larger than {MAX_URL_BYTES >> 20} MiB")
    return bytes(data)


def pictures(names: Iterable[str], lines: Iterable[str] | None = None) -> Iterator[Picture]:
    """Yields every image file that the names refer to.

    A folder stands for all image files in it, at any depth; a pattern for the files it matches, with `**` for folders
    at any depth; a zip for the image files in it; `-` for the names on stdin, one per line. All are local or gs://. A
    name that matches nothing yields one image that cannot be read, so that the others are still processed.

    Args:
      names: names as a user gives them.
      lines: lines that `-` stands for; by default those of stdin.
    """
    for name in names:
        if name == LIST:
            for line in _stdin() if lines is None else lines:
                if line.strip():
                    yield from _or_nothing(line.rstrip("\r\n"))
        else:
            yield from _or_nothing(name)


def _stdin() -> Iterator[str]:
    """Yields the lines of stdin; names need not be text of any encoding."""
    buffer = getattr(sys.stdin, "buffer", None)
    yield from sys.stdin if buffer is None else map(os.fsdecode, buffer)


def _or_nothing(name: str) -> Iterator[Picture]:
    try:
        yield from _of_name(name)
    except UserError as error:
        yield Nothing(name, str(error))


def _of_name(name: str) -> Iterator[Picture]:
    if is_url(name):
        yield Picture(name)
        return
    path = paths.path(name)
    exists = files.exists(path)
    if not exists and any(letter in name for letter in _PATTERN):
        found = find.matching(name)
        images = _images(found)
        if not images:
            yield Nothing(name, "no images match" if found else "nothing matches")
        yield from map(Picture, images)
    elif exists and files.is_folder(path):
        images = _images(map(os.fspath, find.files_below(path)))
        if not images:
            yield Nothing(name, "no images in it")
        # Shown as the user named the folder.
        shown = name.rstrip("/")
        yield from (Picture(f"{shown}{file.removeprefix(os.fspath(path).rstrip('/'))}") for file in images)
    elif exists and path.suffix.lower() == ".zip":
        yield from _in_zip(name)
    else:
        yield Picture(name)


def _images(names: Iterable[str]) -> list[str]:
    return [name for name in names if _is_image(name)]


def _is_image(file: str) -> bool:
    """Returns whether a file is an image: by its suffix, else by its content."""
    if Path(file).suffix.lower() in image_format.SUFFIXES:
        return True
    try:
        return image_format.sniff(files.read_range(file, 0, image_format.HEAD_BYTES)) is not None
    except UserError:
        return False


def _in_zip(name: str) -> Iterator[Picture]:
    location = os.fspath(paths.path(name))
    try:
        with raw_zip.open_zip(location) as opened:
            names = {info.filename: info for info in opened.infolist() if not info.is_dir()}
            candidates = {name: info for name, info in sorted(names.items()) if not name.startswith("__MACOSX/")}
            images = raw_zip.find_images(opened, candidates)
    except UserError as error:
        yield Nothing(name, f"not a zip that can be read: {error}")
        return
    if not images:
        yield Nothing(name, "no images in it")
    for image in images:
        member = raw_zip.member(image, "", None, candidates[image])
        yield Member(f"{name}/{image}", location, member, zip_reader.why_unreadable(candidates[image]))
