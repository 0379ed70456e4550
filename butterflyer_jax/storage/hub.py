"""Download of files from the Hugging Face Hub by its own client, with errors in one line.

The client keeps the cache (`HF_HOME`), resumes an interrupted download, and honours `HF_ENDPOINT` (a mirror),
`HF_HUB_OFFLINE=1` (the cache alone) and `HF_TOKEN`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage.errors import access, chain, words_of

SCHEME = "hf://"
_ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s/]+))?(/(?P<file>[^@\s]+))?")
# The client names the blob of a large file by its SHA-256, and that of a small one by its git SHA-1.
_SHA256 = re.compile(r"[0-9a-f]{64}")


class MissingFileError(UserError):
    """The repository, or while offline the cache, has no such file."""


@dataclass(frozen=True)
class HubFile:
    """The address of a file in a repository of the Hub.

    Attributes:
      repo: "owner/name".
      file: path in the repository; empty where the address has none.
      revision: branch, tag or commit; empty for the default branch.
    """

    repo: str
    file: str = ""
    revision: str = ""

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repo}{at}{'/' if self.file else ''}{self.file}"


def parse(address: str) -> HubFile:
    """Returns the parts of "hf://owner/name[@revision][/file]".

    Raises:
      UserError: the address does not have this form.
    """
    match = _ADDRESS.fullmatch(address.removeprefix(SCHEME))
    if not match:
        raise UserError(f"{address} is not an address of the Hub: write hf://OWNER/NAME[@REVISION][/FILE]")
    return HubFile(match["repo"], match["file"] or "", match["revision"] or "")


def fetch(source: HubFile) -> Path:
    """Returns the local copy of a file of the Hub, downloaded unless the client's cache has its newest version.

    Raises:
      MissingFileError: the repository, or while offline the cache, has no such file.
      UserError: the Hub cannot be reached or refuses, the name is invalid, the copy is damaged, or the disk is full.
    """
    # Imported here: it takes half a second, and few commands need it.
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
    cached = huggingface_hub.try_to_load_from_cache(source.repo, source.file, revision=source.revision or None)
    if cached is None and not constants.HF_HUB_OFFLINE:
        say(f"fetching {source} from {_endpoint()}")
    try:
        with access("the cache of the Hub's client", "write", "weights", "make space, or set HF_HOME to a larger disk"):
            copy = huggingface_hub.hf_hub_download(source.repo, source.file, revision=source.revision or None)
    except UserError:
        raise
    except Exception as error:
        raise _explained(error, source) from error
    _check(Path(copy), source)
    return Path(copy)


def _check(copy: Path, source: HubFile) -> None:
    """Raises a UserError where a large file does not match its checksum: the client compares sizes only."""
    blob = copy.resolve()
    if not _SHA256.fullmatch(blob.name):
        return
    digest = sha256()
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != blob.name:
        raise UserError(f"the copy of {source} in {blob} is damaged: remove that file, and retry")


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _explained(error: Exception, source: HubFile) -> UserError:
    from huggingface_hub import errors

    causes = list(chain(error))

    def has(*kinds: Any) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    status = next((code for cause in causes if (code := _status(cause))), None)
    if has(errors.OfflineModeIsEnabled):
        revision = f" --revision {source.revision}" if source.revision else ""
        return MissingFileError(
            f"{source} is not in the cache of the Hub's client, and HF_HUB_OFFLINE forbids downloading it: where there "
            f"is a network, `hf download {source.repo} {source.file}{revision}` puts it there (HF_HOME)"
        )
    if has(errors.GatedRepoError):
        return UserError(f"{source} requires accepting its terms on the Hub, and then HF_TOKEN")
    if has(errors.RevisionNotFoundError):
        return UserError(f"no such revision on the Hub: {source}")
    if has(errors.RepositoryNotFoundError) or status in (401, 403):
        return UserError(f"no such repository on the Hub, or a private one without HF_TOKEN set: {source}")
    if has(errors.RemoteEntryNotFoundError):
        return MissingFileError(f"no such file on the Hub: {source}")
    if has(errors.HFValidationError):
        return UserError(f"{source} is not an address of the Hub: write hf://OWNER/NAME[@REVISION][/FILE]")
    if status:
        return UserError(f"{_endpoint()} answers {status} for {source}: retry later, or set HF_ENDPOINT to a mirror")
    reason = words_of(next((cause for cause in reversed(causes) if str(cause)), error)).rstrip(".")
    if has(errors.FileMetadataError):
        return UserError(f"{_endpoint()} is not a Hub: {reason}")
    if "Consistency check failed" in str(error):
        return UserError(f"{source} arrived incomplete: {reason}; retry")
    return UserError(
        f"cannot reach {_endpoint()} for {source}: {reason}; retry (a download resumes), or set HF_ENDPOINT to a mirror"
    )


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
