"""File systems behind URLs, as fsspec knows them."""

from __future__ import annotations

import logging
import os
from typing import Any

from butterflyer_jax.errors import UserError

# A connection on which nothing comes for this long is dead; one that is merely slow may take its time.
SILENCE_SECONDS = 60
# What changes with a file's content, best first, by the names that file systems give it.
VERSIONS = ("md5Hash", "generation", "etag", "ETag", "mtime", "LastModified", "last_modified", "created")


def connect(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, as fsspec knows it, and the path in it.

    Raises:
      UserError: there is none for such URLs.
    """
    options: dict[str, Any] = {}
    if url.startswith(("gs://", "gcs://")):
        import aiohttp

        # Else gcsfs asks for the kind of the bucket, by gRPC and a minute long where there is no answer.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        # Its errors are raised too, and reported in one line; it would also print them with a traceback.
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
        logging.getLogger("google.auth").setLevel(logging.CRITICAL)
        silence = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        # Another process, or machine, may write to the bucket at any time.
        options = {"requests_timeout": silence, "use_listings_cache": False}
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot read {url}: {error}") from error
    return filesystem, path


def is_missing(url: str) -> bool:
    """Returns whether it is certain that the bucket of a URL does not exist."""
    if url.startswith(("http://", "https://")):
        return False
    filesystem, path = connect(url)
    try:
        filesystem.ls(path.split("/")[0], detail=False)
    except FileNotFoundError:
        return True
    except Exception:
        # It may be there, and not for this account to list.
        return False
    return False
