"""The local side of a run in a bucket: growing files, copied to the bucket whole.

Objects of a bucket cannot be appended to. So metrics.jsonl and what trackers write grow in a local folder, and are
copied before each checkpoint: a run that resumes from that checkpoint, on any machine, finds every line up to its
step, and removes those of later steps as it would on a disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from etils import epath

from butterflyer_jax.storage import files, paths

# Files that a resumed run needs: the lines so far, and the id of its W&B run.
RESUMED = ("metrics.jsonl", "wandb.json")
# Copied as soon as they are due; other files (traces, W&B's own) when the run ends.
SMALL_BYTES = 16 << 20


class Mirror:
    """The local side of a run folder; for a local run it is that folder itself, and nothing is copied.

    Attributes:
      folder: local folder to write into.
    """

    def __init__(
        self, run_folder: epath.Path, writes: bool = True, before_copy: Callable[[], None] = lambda: None
    ) -> None:
        """Fetches the files that a resumed run needs.

        Args:
          run_folder: folder of the run, local or gs://.
          writes: whether this is the main process, which writes for all.
          before_copy: raises a UserError where this process must not write.

        Raises:
          UserError: the bucket cannot be read.
        """
        self._before_copy = before_copy
        self._remote = os.fspath(run_folder) if writes and paths.is_remote(run_folder) else None
        self._own: Path | None = None
        self._copied: dict[Path, tuple[int, int]] = {}
        if not paths.is_remote(run_folder):
            self.folder = Path(run_folder)
            return
        key = sha256(os.fspath(run_folder).encode()).hexdigest()[:16]
        parent = Path(paths.cache_dir()) / "runs"
        parent.mkdir(parents=True, exist_ok=True)
        # A new folder each time, as hosts may share the cache. It carries the run's name, which trackers show.
        self.folder = self._own = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=parent)) / run_folder.name
        self.folder.mkdir()
        for name in RESUMED if self._remote else ():
            if files.exists(f"{self._remote}/{name}"):
                files.copy(f"{self._remote}/{name}", self.folder / name)

    def copy(self) -> None:
        """Copies small files that changed since the last copy; returns when they are in the bucket.

        Raises:
          UserError: the bucket cannot be written.
        """
        self._copy(SMALL_BYTES)

    def close(self) -> None:
        """Copies all files that changed, and removes the local folder."""
        self._copy(None)
        if self._own is not None:
            shutil.rmtree(self._own.parent, ignore_errors=True)

    def _copy(self, most_bytes: int | None) -> None:
        if self._remote is None:
            return
        self._before_copy()
        for path in sorted(self.folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
            if hidden or path.is_symlink() or not path.is_file():
                continue
            stat = path.stat()
            version = (stat.st_size, stat.st_mtime_ns)
            if self._copied.get(path) == version or (most_bytes is not None and stat.st_size > most_bytes):
                continue
            files.copy(path, f"{self._remote}/{path.relative_to(self.folder).as_posix()}")
            self._copied[path] = version
