"""Paths, local or gs://, and the cache folder."""

from __future__ import annotations

import os

# Before epath looks: it would take TensorFlow to reach a bucket, which training does without.
os.environ.setdefault("EPATH_USE_TF", "0")
# And gcsfs would ask for the kind of each bucket, by gRPC and a minute long where there is no answer.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

from etils import epath

from butterflyer_jax import extras
from butterflyer_jax.errors import UserError

SCHEMES = ("gs", "gcs")
CACHE_VARIABLE = "BUTTERFLYER_CACHE"
DEFAULT_CACHE = "~/.cache/butterflyer_jax"


def path(name: str | os.PathLike[str]) -> epath.Path:
    """Returns the path, local (made absolute, `~` expanded) or gs://, with pathlib's methods.

    Raises:
      UserError: no file can have this name, or it is an address of another kind.
    """
    text = os.fspath(name)
    if "\0" in text:
        raise UserError(f"no name of a file: {text!r}")
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in SCHEMES:
        raise UserError(f"{text}: take a local path or gs://, {scheme}:// cannot be used here")
    if not separator and text.startswith(tuple(f"{scheme}:/" for scheme in SCHEMES)):
        # What pathlib makes of an address.
        raise UserError(f"{text}: an address has two slashes: {text.replace(':/', '://', 1)}")
    path = epath.Path(name)
    if is_remote(path):
        if not text.partition("://")[2].strip("/"):
            raise UserError(f"{text} names no bucket: gs://BUCKET/FOLDER")
        extras.require("cloud", "gcsfs", purpose=f"{path}")
        _forget_listings()
        return path
    # epath would make gs://bucket a folder below the current one.
    return path.expanduser().absolute()


def _forget_listings() -> None:
    """Makes gcsfs list the bucket each time: its cache would hide new files of a folder that was listed before."""
    import fsspec

    fsspec.config.conf.setdefault("gcs", {}).setdefault("use_listings_cache", False)


def is_remote(name: str | os.PathLike[str]) -> bool:
    """Returns whether a path lies in a bucket."""
    return "://" in os.fspath(name)


def cache_dir() -> epath.Path:
    """Returns the folder for what can be made again: `$BUTTERFLYER_CACHE`, else ~/.cache/butterflyer_jax."""
    return path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)
