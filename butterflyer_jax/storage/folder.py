"""Files of a folder, opened by name, whether the folder is local or in a bucket."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from butterflyer_jax.storage import paths
from butterflyer_jax.storage.staging import Staging


class Files(Protocol):
    """Files of a local folder, or local copies of a bucket's folder."""

    @property
    def waited_seconds(self) -> float:
        """Time that `open` has waited for files to arrive, seconds."""

    def prefetch(self, names: Sequence[str]) -> None:
        """Announces the files that will be opened, in this order."""

    def open(self, name: str) -> io.FileIO:
        """Returns a file open for reading, whose content will not change."""

    def close(self) -> None:
        """Stops all copying; open files stay open."""

    def advice(self, name: str) -> str:
        """Returns where a file that is damaged lies, and what to do."""


class LocalFiles:
    """Files of a local folder."""

    waited_seconds = 0.0

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def prefetch(self, names: Sequence[str]) -> None:
        """Does nothing."""

    def open(self, name: str) -> io.FileIO:
        """Returns a file, open for reading."""
        return io.FileIO(self._folder / name)

    def close(self) -> None:
        """Does nothing."""

    def advice(self, name: str) -> str:
        """Returns where a file that is damaged lies, and what to do."""
        advice = "copy the data set again, or remove the folder and build it again"
        return f"{self._folder / name} is damaged or missing: {advice}"


def open_folder(folder: str | os.PathLike[str], names: Sequence[str], max_bytes: int) -> Files:
    """Returns the files of a folder, local or gs://; those of a bucket are copied to the cache on demand.

    Args:
      folder: folder that holds the files.
      names: names of the files that may be opened.
      max_bytes: bound on the copies of all folders together.

    Raises:
      UserError: the bucket cannot be read, or a file is missing or larger than `max_bytes`.
    """
    return Staging(folder, names, max_bytes) if paths.is_remote(folder) else LocalFiles(folder)
