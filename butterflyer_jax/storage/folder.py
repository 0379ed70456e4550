"""Files of a folder, opened by their names, whether the folder is local or in a bucket."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from butterflyer_jax.storage import paths
from butterflyer_jax.storage.staging import Staging


class Files(Protocol):
    """Files of a folder: a local one, or the copies of one in a bucket."""

    @property
    def waited_seconds(self) -> float:
        """How long `open` has waited so far for files to arrive."""

    @property
    def copied_bytes(self) -> int:
        """How much came over the network so far."""

    def prefetch(self, names: Sequence[str]) -> None:
        """Announces which files will be opened, in this order."""

    def open(self, name: str) -> io.FileIO:
        """Returns a file, open for reading, of which no byte will change."""

    def close(self) -> None:
        """Ends what is under way; what is open stays so."""

    def advice(self, name: str) -> str:
        """Returns where a file that is damaged lies, and what to do."""


class LocalFiles:
    """Files of a local folder."""

    waited_seconds = 0.0
    copied_bytes = 0

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
        advice = "copy the data set anew, or remove the folder and build it again"
        return f"{self._folder / name} is damaged or missing: {advice}"


def open_folder(folder: str | os.PathLike[str], names: Sequence[str], max_bytes: int) -> Files:
    """Returns the files of a folder, local or gs://; those of a bucket are copied to the cache as they are needed.

    Args:
      folder: holds the files.
      names: the files that may be asked for.
      max_bytes: what the copies of all folders may take together.

    Raises:
      UserError: the bucket cannot be read, or a file is missing there or larger than `max_bytes`.
    """
    return Staging(folder, names, max_bytes) if paths.is_remote(folder) else LocalFiles(folder)
