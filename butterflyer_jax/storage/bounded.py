"""A local folder of files that can be fetched again: never beyond its bound, and shared by a machine's processes."""

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
    """A file that is being written, under a name that no reader takes for its own; locked for as long as it is open."""

    def __init__(self, folder: BoundedFolder, target: Path, num_bytes: int) -> None:
        self.folder = folder
        self.target = target
        self.path = target.parent / f"{target.name}.{uuid.uuid4().hex}{PART_SUFFIX}"
        self.file_descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | open_files.CLOSE_ON_EXEC, 0o666)
        try:
            # The operating system lets go of the lock when the process dies, however it does.
            open_files.lock(self.file_descriptor)
            # At its full size from the start, so that other processes leave the room for it.
            os.truncate(self.file_descriptor, num_bytes)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes, offset: int) -> None:
        """Writes `data` at an offset.

        Raises:
          UserError: the disk is full.
        """
        rest = memoryview(data)
        with _writing(self.path.parent):
            while rest:
                written = os.pwrite(self.file_descriptor, rest, offset)
                rest, offset = rest[written:], offset + written

    def publish(self) -> None:
        """Gives the file its name, at once and as a whole.

        Raises:
          UserError: the disk is full.
        """
        with _writing(self.path.parent):
            # Or a machine that loses power may keep the name and lose the content.
            os.fsync(self.file_descriptor)
            # Who adds up the folder's files would see it under both names, or neither.
            with self.folder.alone():
                self.path.replace(self.target)
        os.close(self.file_descriptor)

    def discard(self) -> None:
        """Removes the file."""
        self.path.unlink(missing_ok=True)
        os.close(self.file_descriptor)


@dataclass(frozen=True)
class BoundedFolder:
    """Files in the folders of `root`, of `max_bytes` at most; those least recently used are removed for new ones."""

    root: Path
    max_bytes: int

    def reserve(
        self, target: Path, num_bytes: int, keep: Collection[Path], last: Sequence[Path] = ()
    ) -> tuple[PartialFile | None, set[Path]]:
        """Makes room for a file, and the file in it.

        Args:
          target: its later name, in a folder of `root`.
          num_bytes: its size.
          keep: whole files that stay, however long ago they were used.
          last: those of `keep` that go all the same where it must be, first to last.

        Returns:
          The file to write, None where nothing more may be removed for it (then nothing is); what was removed.

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
        """Removes what dead processes left, and what is beyond the bound.

        Raises:
          UserError: the folder cannot be written to.
        """
        with _writing(self.root), self.alone():
            self._make_room(0, (), ())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds off other processes, and threads: two that look for room at once would both take the same."""
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
                # Of another process, which may remove it now.
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    advice = "make space, set data.staging_gib lower, or BUTTERFLYER_CACHE to a folder on another disk"
    return access(folder, "write", "copies of remote files", advice)


def _remove_leftover(path: Path) -> bool:
    """Removes a partial file that nobody writes to any more; returns whether it did."""
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
