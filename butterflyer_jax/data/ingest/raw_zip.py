"""Opening and listing of a raw zip or folder of photos."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import image_format
from butterflyer_jax.data.ingest import nested, source, zip_names, zip_reader
from butterflyer_jax.data.ingest.collection import Listing, read_collection
from butterflyer_jax.data.ingest.source import Entry
from butterflyer_jax.data.ingest.tables import outside
from butterflyer_jax.data.ingest.zip_reader import Member
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths

__all__ = ["Listing", "find_images", "list_source", "member", "open_zip", "read_listing"]


def list_source(raw: str | os.PathLike[str], config: BuildConfig | None = None) -> Listing:
    """Returns the listing of a raw zip or folder, local or gs://; that of the last local zip is cached.

    Raises:
      UserError: see `open_zip` and `read_collection`.
    """
    config = config or BuildConfig()
    location = paths.path(raw)
    if files.is_folder(location):
        with _Folder(location) as folder:
            return read_collection(folder, source.list_folder(location), config)
    if paths.is_remote(location) or not files.exists(location):
        with open_zip(raw) as opened:
            return read_listing(opened, config)
    stat = os.stat(location)  # noqa: PTH116  (epath's knows seconds only)
    options = dataclasses.astuple(config)
    versions = stat.st_size, stat.st_mtime_ns, stat.st_ino, outside.checksums(config)
    return _list_zip(os.fspath(location), versions, options)


@functools.lru_cache(maxsize=1)
def _list_zip(archive: str, _: object, options: tuple[object, ...]) -> Listing:
    with open_zip(archive) as opened:
        return read_listing(opened, BuildConfig(*options))  # type: ignore[arg-type]


def open_zip(archive: str | os.PathLike[str]) -> zipfile.ZipFile:
    """Opens a raw zip, local or gs://.

    Raises:
      UserError: the file does not exist, or is not a zip.
    """
    location = paths.path(archive)
    if not files.exists(location):
        raise UserError(f"no such zip or folder: {location}")
    if files.is_folder(location):
        raise UserError(f"{location} is a folder, not a zip")
    try:
        opened = _OpenZip(files.open_file(location), os.fspath(location))
    except UserError:
        raise
    # ValueError: undecodable text, or a bucket's file that is too short for a zip.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        head = files.read_range(location, 0, zip_reader.ARCHIVE_HEAD_BYTES)
        raise UserError(f"{location} is {zip_reader.why_no_zip(head)} ({error})") from error
    split = zip_reader.check_not_split(opened.infolist())
    if split:
        opened.close()
        raise UserError(f"{location} is {split}")
    return opened


class _OpenZip(zipfile.ZipFile):
    """A zip that also closes its underlying file."""

    def __init__(self, file: IO[bytes], location: str) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise
        self.filename = location

    def close(self) -> None:
        """Closes the zip and the underlying file."""
        super().close()
        self._file.close()


class _Zip:
    """An open zip, as a source of members."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.name = archive.filename or "the zip"

    def read(self, entry: Entry, num_bytes: int) -> bytes:
        """Returns the first bytes of a member."""
        assert entry.packed is not None
        with self._archive.open(entry.packed) as file:
            return file.read(num_bytes)

    def heads(self, entries: Sequence[Entry], num_bytes: int) -> list[bytes]:
        """Returns the first bytes of members; b"" for those that cannot be unpacked."""
        return zip_reader.read_heads(self._archive, [entry.packed for entry in entries if entry.packed], num_bytes)

    def open_nested(self, entry: Entry) -> tuple[BinaryIO, int, str]:
        """Returns a zip within the zip as a file, its offset and its path.

        Raises:
          UserError: the inner zip is compressed, so its parts cannot be addressed.
        """
        info = entry.packed
        assert info is not None
        reason = zip_reader.why_unreadable(info)
        if reason or info.compress_type != zipfile.ZIP_STORED:
            raise UserError(reason or "compressed once more: unpack the outer zip and give the folder")
        start = zip_reader.data_offset(files.read_range(self.name, info.header_offset, zip_reader.HEADER_BYTES), info)
        return nested.Window(files.open_file(self.name), start, info.file_size), start, ""  # type: ignore[return-value]


class _Folder(contextlib.ExitStack):
    """A folder, as a source of files and zips."""

    def __init__(self, location: os.PathLike[str]) -> None:
        super().__init__()
        self._location = paths.path(location)
        self._zips: dict[str, zipfile.ZipFile] = {}
        self.name = os.fspath(location)

    def open_nested(self, entry: Entry) -> tuple[BinaryIO, int, str]:
        """Returns a zip in the folder as a file, its offset and its path."""
        return files.open_file(self._location / entry.name), 0, entry.name

    def read(self, entry: Entry, num_bytes: int) -> bytes:
        """Returns the first bytes of a file."""
        if entry.packed:
            if entry.archive not in self._zips:
                self._zips[entry.archive] = self.enter_context(open_zip(self._location / entry.archive))
            return zip_reader.read_heads(self._zips[entry.archive], [entry.packed], num_bytes)[0]
        return files.read_range(self._location / entry.name, 0, min(num_bytes, entry.num_bytes))

    def heads(self, entries: Sequence[Entry], num_bytes: int) -> list[bytes]:
        """Returns the first bytes of files."""
        threads = zip_reader.HEAD_THREADS if paths.is_remote(self._location) else 1
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda entry: self.read(entry, num_bytes), entries))


def read_listing(archive: zipfile.ZipFile, config: BuildConfig | None = None) -> Listing:
    """Returns the listing of an open zip; reads its directory and tables, but no photo.

    Raises:
      UserError: see `read_collection`; also where the code page of the names is not clear.
    """
    config = config or BuildConfig()
    infos = archive.infolist()
    names, page = zip_names.member_names(infos, config.name_encoding)
    entries = [
        Entry(name, info.file_size, f"{info.CRC:08x}", info)
        for name, info in zip(names, infos, strict=True)
        if not name.endswith("/")
    ]
    notes = [f"file names in the zip are read as {page}; build.name_encoding chooses another code page"] if page else []
    return read_collection(_Zip(archive), entries, config, notes)


def member(name: str, species: str, split: str | None, info: zipfile.ZipInfo) -> Member:
    """Returns the `Member` of a photo in a zip."""
    return Entry(name, info.file_size, "", info).member(species, split)


def find_images(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> list[str]:
    """Returns the names of the images, recognised by suffix, or else by content."""
    unknown = [name for name in infos if PurePosixPath(name).suffix.lower() not in image_format.SUFFIXES]
    heads = zip_reader.read_heads(archive, [infos[name] for name in unknown], image_format.HEAD_BYTES)
    others = {name for name, head in zip(unknown, heads, strict=True) if not image_format.sniff(head)}
    return [name for name in infos if name not in others]
