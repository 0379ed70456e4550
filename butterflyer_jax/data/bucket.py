"""Files in a bucket as the commands use them: small ones read and written whole, errors in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from etils import epath

from butterflyer_jax.config import UserError
from butterflyer_jax.data import remote, storage


@contextlib.contextmanager
def telling(url: str | os.PathLike[str], verb: str = "read") -> Iterator[None]:
    """Turns what goes wrong with a bucket within the block into one line that says what to do.

    Args:
      url: of the file or folder; nothing is changed for local ones.
      verb: what was to be done with it.

    Raises:
      UserError: no such bucket, no permission, no credentials, or no network.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not storage.is_remote(url):
            raise
        told = explain(error, os.fspath(url), verb)
        if told is None:
            raise
        raise told from error


@contextlib.contextmanager
def telling_of_access(url: str | os.PathLike[str]) -> Iterator[None]:
    """Does what `telling` does where the bucket refused or was out of reach, not where a file is missing."""
    try:
        yield
    except Exception as error:
        if not storage.is_remote(url) or isinstance(error, (FileNotFoundError, ValueError, KeyError, UserError)):
            raise
        with telling(url):
            raise


def check_exists(url: str | os.PathLike[str]) -> None:
    """Raises a UserError where the bucket of a URL does not exist or cannot be reached; local paths are left alone."""
    if not storage.is_remote(url):
        return
    filesystem, path = remote.connect(os.fspath(url))
    with telling(url):
        try:
            filesystem.ls(path.split("/")[0], detail=False)
        except Exception as error:
            # Not for this account to list, perhaps for it to use.
            if isinstance(error, FileNotFoundError) or remote.is_transient(error):
                raise


def copy_to(source: epath.Path, target: Path) -> None:
    """Copies a file or a folder of a bucket to a local disk.

    Raises:
      UserError: as `telling`.
    """
    filesystem, path = remote.connect(os.fspath(source))
    with telling(source):
        for name in filesystem.find(path):
            place = target / name.removeprefix(path).strip("/") if name != path else target
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(read_bytes(f"{os.fspath(source).split('://')[0]}://{name}"))


def explain(error: BaseException, url: str, verb: str = "read") -> UserError | None:
    """Returns what to tell a user of an error, or of the one that caused it; None for what is no fault of theirs."""
    seen: BaseException | None = error
    while seen is not None:
        missing = isinstance(seen, FileNotFoundError) or "bucket does not exist" in str(seen)
        if missing and is_missing_bucket(url):
            return UserError(f"no such bucket: {'/'.join(url.split('/')[:3])}")
        if not missing and isinstance(seen, Exception) and (told := remote.explain(seen, url, verb)):
            return told
        seen = seen.__cause__ or seen.__context__
    return None


def is_missing_bucket(url: str) -> bool:
    """Returns whether it is certain that the bucket of a URL does not exist."""
    filesystem, path = remote.connect(url)
    try:
        filesystem.ls(path.split("/")[0], detail=False)
    except FileNotFoundError:
        return True
    except Exception:
        # It may be there, and not for this account to list.
        return False
    return False


def read_bytes(url: str) -> bytes:
    """Returns a whole file.

    Raises:
      UserError: it is not there, or as `telling`.
    """
    filesystem, path = remote.connect(url)
    with telling(url):
        try:
            return retried(lambda: filesystem.cat_file(path))
        except FileNotFoundError as error:
            if is_missing_bucket(url):
                raise
            raise UserError(f"no such file: {url}") from error


def read_bytes_or_none(url: str) -> bytes | None:
    """Returns a whole file, None where there is none.

    Raises:
      UserError: as `telling`.
    """
    filesystem, path = remote.connect(url)
    # Another process, or machine, may have written since this one last looked.
    filesystem.invalidate_cache()
    with telling(url):
        try:
            return retried(lambda: filesystem.cat_file(path))
        except FileNotFoundError:
            if is_missing_bucket(url):
                raise
            return None


def write_bytes(url: str, data: bytes) -> None:
    """Writes a whole file; an object of a bucket is the old one or the new one, never a part.

    Raises:
      UserError: as `telling`.
    """
    filesystem, path = remote.connect(url)
    with telling(url, "write"):
        retried(lambda: filesystem.pipe_file(path, data))


def retried(call: Callable[[], bytes | None]) -> bytes:
    """Returns what a call returns, tried again where that may help."""
    for attempt in range(1, remote.ATTEMPTS + 1):
        try:
            return call() or b""
        except Exception as error:
            if attempt == remote.ATTEMPTS or not remote.is_transient(error):
                raise
        remote.pause(attempt)
    raise AssertionError("the last attempt returns or raises")
