"""The cache of compiled programs: each entry has a checksum, for a process that loads a damaged one dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock
import google_crc32c
import jax

# Pinned with JAX itself: there is no public way to check the entries.
from jax._src import compilation_cache, lru_cache

from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.storage import paths

MAX_BYTES = 4 << 30
_HEAD = b"butterflyer crc32c "


class CheckedCache(lru_cache.LRUCache):
    """JAX's cache in a folder, bounded, with a checksum before each entry.

    An entry that differs from what was written is removed, with one line, and compiled again. A folder that cannot be
    read or written costs the time to compile, and one line. What other processes add is counted against the bound when
    the folder is opened.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens the folder; makes it, and removes what killed processes left.

        Raises:
          OSError: the folder cannot be made or written.
          filelock.Timeout: another process holds the folder's lock for longer than JAX itself waits.
        """
        super().__init__(os.fspath(folder), max_size=MAX_BYTES)
        self._has_failed = False
        with self.lock.acquire(timeout=self.lock_timeout_secs):
            # Written first, and where JAX's own time stamp is missing, each later entry fails.
            for entry in self._entries():
                if not entry.with_name(f"{entry.name.removesuffix('-cache')}-atime").exists():
                    entry.unlink()
            self._num_bytes = self._measure()

    def get(self, key: str) -> bytes | None:
        """Returns an entry, None where there is none that is whole."""
        found: bytes | None = None
        with self._tolerating():
            found = super().get(key)
        if found is None:
            return None
        start = len(_HEAD) + 4
        if found[:start] == _head(found[start:]):
            return found[start:]
        entry = self.path / f"{key}-cache"
        say(f"the compiled program {entry} is damaged: it is removed and compiled again")
        with self._tolerating():
            entry.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Adds an entry."""
        with self._tolerating():
            super().put(key, _head(value) + value)

    def _evict_if_needed(self, *, additional_size: int = 0) -> None:
        # JAX reads all time stamps before each new entry: 60 ms of processor time where there are 1,200.
        self._num_bytes += additional_size
        if self._num_bytes > self.max_size:
            super()._evict_if_needed(additional_size=additional_size)
            self._num_bytes = self._measure() + additional_size

    def _measure(self) -> int:
        return sum(entry.stat().st_size for entry in self._entries())

    def _entries(self) -> Iterator[Path]:
        # Not by `self.path.glob`, which takes brackets in the folder's name for a pattern.
        return Path(self.path).glob("*-cache")

    @contextlib.contextmanager
    def _tolerating(self) -> Iterator[None]:
        try:
            yield
        except (OSError, filelock.Timeout) as error:
            if not self._has_failed:
                _say_not_kept(self.path, error)
            self._has_failed = True


def keep_for(config: Config, min_seconds: float | None = None) -> None:
    """Caches compiled programs in the cache folder, unless the config of a run switches it off; see `keep_in`."""
    if config.compilation_cache:
        keep_in(paths.cache_dir() / "xla", min_seconds)


def keep_in(folder: str | os.PathLike[str], min_seconds: float | None = None) -> None:
    """Caches compiled programs in a folder for later runs.

    `JAX_COMPILATION_CACHE_DIR` takes precedence: a folder within it, as JAX's own entries have no checksums. A bucket
    that it names is left to JAX.

    Args:
      folder: the folder.
      min_seconds: what compiles faster is not kept; by default JAX's own setting, a second.
    """
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        if "://" in chosen:
            return
        folder = Path(chosen) / "checked"
    try:
        cache = CheckedCache(folder)
    except (OSError, filelock.Timeout) as error:
        _say_not_kept(folder, error)
        return
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    if min_seconds is not None:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", min_seconds)
    compilation_cache.reset_cache()
    compilation_cache._cache = cache


def _say_not_kept(folder: str | os.PathLike[str], error: Exception) -> None:
    reason = getattr(error, "strerror", None) or error
    say(
        f"compiled programs cannot be kept in {os.fspath(folder)} ({reason}), so every start compiles them again; "
        "JAX_COMPILATION_CACHE_DIR names another folder"
    )


def _head(value: bytes) -> bytes:
    checksum: int = google_crc32c.value(value)
    return _HEAD + checksum.to_bytes(4, "little")
