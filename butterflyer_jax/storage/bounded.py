"""Local folder of files that can be fetched again, of bounded size and shared by the processes of a machine."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from butterflyer_jax.storage import open_files
from butterflyer_jax.storage.errors import access

PART_SUFFIX = ".part"


class PartialFile:
    """A file being written under a temporary name, locked while it is open."""

    def __init__(self, folder: BoundedFolder, target: Path, num_bytes: int) -> None:
        self.folder = folder
        self.target = target
        self.path = target.parent / f"{target.name}.{uuid.uuid4().hex}{PART_SUFFIX}"
        self.file_descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | open_files.CLOSE_ON_EXEC, 0o666)
        try:
            # The operating system releases the lock when the process dies for any reason.
            open_files.lock(self.file_descriptor)
            # At its full size from the start, so that other processes account for its space.
            os.truncate(self.file_descriptor, num_bytes)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes, offset: int) -> None:
        """Writes bytes at an offset.

        Raises:
          UserError: the disk is full.
        """
        rest = memoryview(data)
        with _writing(self.path.parent):
            while rest:
                written = os.pwrite(self.file_descriptor, rest, offset)
                rest, offset = rest[written:], offset + written

    def publish(self) -> None:
        """Renames the complete file to its final name, atomically.

        Raises:
          UserError: the disk is full.
        """
        with _writing(self.path.parent):
            # Without fsync a machine that loses power may keep the name and lose the content.
            os.fsync(self.file_descriptor)
            # Under the lock: otherwise a process that sums up the file sizes could see both names, or neither.
            with self.folder.alone():
                self.path.replace(self.target)
        os.close(self.file_descriptor)

    def discard(self) -> None:
        """Removes the file."""
        self.path.unlink(missing_ok=True)
        os.close(self.file_descriptor)


@dataclass(frozen=True)
class BoundedFolder:
    """Files below `root`, of at most `max_bytes` in total; the least recently used ones make room for new ones."""

    root: Path
    max_bytes: int

    def reserve(
        self, target: Path, num_bytes: int, keep: Collection[Path], last: Sequence[Path] = ()
    ) -> tuple[PartialFile | None, set[Path]]:
        """Makes room for a file and creates it under a temporary name.

        Args:
          target: final path, in a folder of `root`.
          num_bytes: size of the file.
          keep: complete files that are not removed, however long ago they were used.
          last: files of `keep` that are removed, in this order, where there is no other room.

        Returns:
          The file to write, or None where there is not enough to remove (then nothing is removed); and the removed
          paths.

        Raises:
          UserError: the folder cannot be written to.
        """
        with _writing(self.root), self.alone():
            removed = self._make_room(num_bytes, keep, last)
            if removed is None:
                return None, set()
            target.parent.mkdir(parents=True, exist_ok=True)
            return PartialFile(self, target, num_bytes), removed

    def trim(self) -> None:
        """Removes partial files of dead processes, and files beyond the bound.

        Raises:
          UserError: the folder cannot be written to.
        """
        with _writing(self.root), self.alone():
            self._make_room(0, (), ())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Excludes other processes and threads: two that looked for room at once would take the same room."""
        self.root.mkdir(parents=True, exist_ok=True)
        file_descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | open_files.CLOSE_ON_EXEC, 0o666)
        try:
            open_files.lock(file_descriptor)
            yield
        finally:
            os.close(file_descriptor)

    def _make_room(self, num_bytes: int, keep: Collection[Path], last: Sequence[Path]) -> set[Path] | None:
        sizes: dict[Path, int] = {}
        ages: list[tuple[int, Path]] = []
        excess = num_bytes - self.max_bytes
        for path, stat in self._files():
            if path.name.endswith(PART_SUFFIX):
                excess += 0 if _remove_leftover(path) else stat.st_size
                continue
            excess += stat.st_size
            sizes[path] = stat.st_size
            ages.append((stat.st_mtime_ns, path))
        going: set[Path] = set()
        for path in [*(path for _, path in sorted(ages) if path not in keep), *last]:
            if excess <= 0:
                break
            excess -= sizes.get(path, 0)
            going.add(path)
        if excess > 0 and num_bytes:
            return None
        for path in going:
            path.unlink(missing_ok=True)
        return going

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, _, names in os.walk(self.root):
            if folder == os.fspath(self.root):
                continue
            for name in names:
                path = Path(folder, name)
                # A file of another process, which may be removing it.
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    advice = "make space, set data.staging_gib lower, or BUTTERFLYER_CACHE to a folder on another disk"
    return access(folder, "write", "copies of remote files", advice)


def _remove_leftover(path: Path) -> bool:
    """Removes a partial file that no process writes any more; returns whether it did."""
    try:
        file_descriptor = os.open(path, os.O_RDWR | open_files.CLOSE_ON_EXEC)
    except FileNotFoundError:
        return True
    try:
        if not open_files.try_lock(file_descriptor):
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file_descriptor)
