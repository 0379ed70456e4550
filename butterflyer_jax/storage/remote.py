"""Files in a bucket, read and written whole; its errors in one line."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from etils import epath

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import paths

# On top of those that gcsfs makes itself, which take half a minute where there is no network at all.
ATTEMPTS = 4
# A connection on which nothing comes for so long is dead; one that is merely slow may take its time.
SILENCE_SECONDS = 60
# Of the file system below and of what it is built on; their errors share no class.
LIBRARIES = {"aiohttp", "asyncio", "fsspec", "gcsfs", "google", "requests", "urllib3"}
# What changes with a file's content, best first, by the names that file systems give it.
VERSIONS = ("md5Hash", "generation", "etag", "ETag", "mtime", "LastModified", "last_modified", "created")


def is_transient(error: Exception) -> bool:
    """Returns whether to try again may help."""
    if isinstance(error, (FileNotFoundError, IsADirectoryError, PermissionError)) or _is_forbidden(error):
        return False
    code = _status(error)
    if 400 <= code < 500:
        return code in (408, 429)
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in LIBRARIES


def pause(attempt: int, seconds: float = 1.0) -> None:
    """Waits before another attempt, longer each time, and not as long as other processes do."""
    time.sleep(seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1))


def describe_error(error: Exception, url: str, verb: str = "read") -> UserError | None:
    """Returns what to tell a user whose file or folder could not be read, or written; None for no fault of theirs."""
    # The one of google.auth that speaks of the network.
    is_of_credentials = type(error).__module__.startswith("google.auth") and type(error).__name__ != "TransportError"
    if is_of_credentials or _status(error) == 401 or "Anonymous caller" in str(error):
        return UserError(
            f"no valid Google credentials to {verb} {url}: run `gcloud auth application-default login`, "
            "or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
        )
    if isinstance(error, PermissionError) or _is_forbidden(error):
        role = "Storage Object Viewer" if verb == "read" else "Storage Object User"
        return UserError(f"no permission to {verb} {url}: give your account the role {role} of its bucket")
    if is_transient(error):
        return UserError(
            f"cannot reach {url}: {words_of(error)}; look at the network, then give the same command again: it goes on"
        )
    if isinstance(error, ValueError | OSError) or _status(error):
        return UserError(f"cannot {verb} {url}: {words_of(error)}")
    return None


def connect(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, as fsspec knows it, and the path in it.

    Raises:
      UserError: there is none for such URLs.
    """
    options = {}
    if url.startswith(("gs://", "gcs://")):
        import aiohttp

        # Else gcsfs asks for the kind of the bucket, by gRPC and a minute long where there is no answer.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        # Its errors are raised too, and told in one line; it would also print them with a traceback.
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
        logging.getLogger("google.auth").setLevel(logging.CRITICAL)
        silence = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        options = {"requests_timeout": silence}
    import fsspec

    try:
        result: tuple[Any, str] = fsspec.core.url_to_fs(url, **options)
        return result
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot read {url}: {words_of(error)}") from error


def _is_forbidden(error: Exception) -> bool:
    # gcsfs has no class for it.
    return _status(error) == 403 or str(error).startswith("Forbidden")


def _status(error: Exception) -> int:
    """Returns the HTTP status of an error, 0 where it has none."""
    status = getattr(error, "code", None) or getattr(error, "status", None)
    try:
        return int(status or 0)
    except (TypeError, ValueError):
        return 0


def words_of(error: Exception) -> str:
    """Returns the first line of an error's message, its class name where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


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
        if not paths.is_remote(url):
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
        if not paths.is_remote(url) or isinstance(error, (FileNotFoundError, ValueError, KeyError, UserError)):
            raise
        with telling(url):
            raise


def check_exists(url: str | os.PathLike[str]) -> None:
    """Raises a UserError where the bucket of a URL does not exist or cannot be reached; local paths are left alone."""
    if not paths.is_remote(url):
        return
    filesystem, path = connect(os.fspath(url))
    with telling(url):
        try:
            filesystem.ls(path.split("/")[0], detail=False)
        except Exception as error:
            # Not for this account to list, perhaps for it to use.
            if isinstance(error, FileNotFoundError) or is_transient(error):
                raise


def copy_to(source: epath.Path, target: Path) -> None:
    """Copies a file or a folder of a bucket to a local disk.

    Raises:
      UserError: as `telling`.
    """
    filesystem, path = connect(os.fspath(source))
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
        if not missing and isinstance(seen, Exception) and (told := describe_error(seen, url, verb)):
            return told
        seen = seen.__cause__ or seen.__context__
    return None


def is_missing_bucket(url: str) -> bool:
    """Returns whether it is certain that the bucket of a URL does not exist."""
    filesystem, path = connect(url)
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
    filesystem, path = connect(url)
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
    filesystem, path = connect(url)
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
    filesystem, path = connect(url)
    with telling(url, "write"):
        retried(lambda: filesystem.pipe_file(path, data))


def retried(call: Callable[[], bytes | None]) -> bytes:
    """Returns what a call returns, tried again where that may help."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call() or b""
        except Exception as error:
            if attempt == ATTEMPTS or not is_transient(error):
                raise
        pause(attempt)
    raise AssertionError("the last attempt returns or raises")
