"""Translation of file and bucket errors into one line with cause and remedy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from butterflyer_jax.errors import UserError

# Libraries behind the file systems; their errors have no common class.
LIBRARIES = {"aiohttp", "asyncio", "fsspec", "gcsfs", "google", "requests", "urllib3"}
_SPACE = "make space there, then run the same command again: it resumes"
_ACCESS = "choose a place that you may write to"
# Orbax, TensorStore and TFDS wrap the operating system's error in one of their own, with its message.
REFUSALS = {
    "No space left on device": _SPACE,
    "Disk quota exceeded": _SPACE,
    "File too large": _SPACE,
    "File name too long": "take a shorter name",
    "Permission denied": _ACCESS,
    "Operation not permitted": _ACCESS,
    "Read-only file system": _ACCESS,
    "Not a directory": "a file is in the way: take another name",
    "Is a directory": "a folder is in the way: take another name",
    "File exists": "a file is in the way: take another name",
}


@contextlib.contextmanager
def access(name: str | os.PathLike[str], verb: str = "read", what: str = "", advice: str = "") -> Iterator[None]:
    """Turns errors of a file or folder within the block into a UserError.

    For libraries that open files themselves, such as Orbax and TFDS; `storage.files` already does this.

    Args:
      name: the file or folder, local or gs://.
      verb: "read" or "write".
      what: description of the content, such as "a checkpoint"; by default the message shows the name alone.
      advice: remedy where the disk refuses a write; by default one that fits the error.

    Raises:
      UserError: the file is missing, the disk or bucket refuses, or the network is down. Other errors pass unchanged.
    """
    try:
        yield
    except UserError:
        # A UserError raised nearer to the cause is more precise.
        raise
    except Exception as error:
        described = describe(error, os.fspath(name), verb, what, advice)
        if described is None:
            raise
        raise described from error


def describe(error: Exception, name: str, verb: str = "read", what: str = "", advice: str = "") -> UserError | None:
    """Returns the UserError for an error or its cause; None where the user cannot fix it."""
    if "://" in name:
        return describe_remote(error, name, verb)
    if verb == "write":
        words = next((words for words in REFUSALS if any(words in str(one) for one in chain(error))), None)
        place = f"{what} to {name}" if what else name
        return UserError(f"cannot write {place}: {words}; {advice or REFUSALS[words]}") if words else None
    if isinstance(error, FileNotFoundError):
        return UserError(f"no such file: {name}")
    # ValueError: an invalid file name.
    if isinstance(error, OSError) or "embedded null" in str(error):
        return UserError(f"cannot read {name}: {getattr(error, 'strerror', None) or words_of(error)}")
    return None


def describe_remote(error: Exception, url: str, verb: str = "read") -> UserError | None:
    """Returns the UserError for an error of a bucket or web server; None where the user cannot fix it."""
    from butterflyer_jax.storage import bucket

    for one in chain(error):
        is_missing = isinstance(one, FileNotFoundError) or "bucket does not exist" in str(one)
        if is_missing and bucket.is_missing(url):
            return UserError(f"no such bucket: {'/'.join(url.split('/')[:3])}")
        if is_missing and verb == "read":
            return UserError(f"no such file: {url}")
        if not is_missing and (described := _describe_answer(one, url, verb)):
            return described
    return None


def is_transient(error: BaseException) -> bool:
    """Returns whether a retry may succeed."""
    lasting = (FileNotFoundError, FileExistsError, IsADirectoryError, PermissionError)
    if isinstance(error, lasting) or _is_forbidden(error):
        return False
    code = _status(error)
    if 400 <= code < 500:
        return code in (408, 429)
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in LIBRARIES


def words_of(error: BaseException) -> str:
    """Returns the first line of an error's message, or its class name where the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def chain(error: BaseException) -> Iterator[Exception]:
    """Yields an error and those that it was raised from, in this order."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        if isinstance(following, Exception):
            yield following
        following = following.__cause__ or following.__context__


def _describe_answer(error: Exception, url: str, verb: str) -> UserError | None:
    # The only google.auth error about the network.
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
            f"cannot reach {url}: {words_of(error)}; check the network, then run the same command again: it resumes"
        )
    if isinstance(error, ValueError | OSError) or _status(error):
        return UserError(f"cannot {verb} {url}: {words_of(error)}")
    return None


def _is_forbidden(error: BaseException) -> bool:
    # gcsfs has no class for this error.
    return _status(error) == 403 or str(error).startswith("Forbidden")


def _status(error: BaseException) -> int:
    """Returns the HTTP status of an error, 0 where it has none."""
    status = getattr(error, "code", None) or getattr(error, "status", None)
    try:
        return int(status or 0)
    except (TypeError, ValueError):
        return 0
