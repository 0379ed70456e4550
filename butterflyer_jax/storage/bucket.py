"""The fsspec file systems behind URLs."""

from __future__ import annotations

import logging
import os
from typing import Any

from butterflyer_jax.errors import UserError

# A connection without any data for this long counts as dead; a slow one does not.
SILENCE_SECONDS = 60
# Fields that change with a file's content, best first, by the names that file systems use.
VERSIONS = ("md5Hash", "generation", "etag", "ETag", "mtime", "LastModified", "last_modified", "created")


def connect(url: str) -> tuple[Any, str]:
    """Returns the fsspec file system of a URL, and the path in it.

    Raises:
      UserError: no file system for this kind of URL.
    """
    options: dict[str, Any] = {}
    if url.startswith(("gs://", "gcs://")):
        import aiohttp

        # Otherwise gcsfs asks for the bucket's type by gRPC, which takes a minute where nothing answers.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        # gcsfs logs its errors with a traceback; they are also raised, and reported in one line.
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
        logging.getLogger("google.auth").setLevel(logging.CRITICAL)
        silence = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
        # Another process or machine may write to the bucket at any time: no caching of listings.
        options = {"requests_timeout": silence, "use_listings_cache": False}
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot read {url}: {error}") from error
    return filesystem, path


def is_missing(url: str) -> bool:
    """Returns whether the bucket of a URL certainly does not exist."""
    if url.startswith(("http://", "https://")):
        return False
    filesystem, path = connect(url)
    try:
        filesystem.ls(path.split("/")[0], detail=False)
    except FileNotFoundError:
        return True
    except Exception:
        # The bucket may exist without this account's permission to list it.
        return False
    return False
