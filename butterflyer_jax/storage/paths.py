"""Paths, local or gs://, and the cache folder."""

from __future__ import annotations

import os

# Set before epath is imported: it would otherwise use TensorFlow for buckets, which training does not need.
os.environ.setdefault("EPATH_USE_TF", "0")
# Otherwise gcsfs asks for each bucket's type by gRPC, which takes a minute where nothing answers.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

from etils import epath

from butterflyer_jax import extras
from butterflyer_jax.errors import UserError

SCHEMES = ("gs", "gcs")
CACHE_VARIABLE = "BUTTERFLYER_CACHE"
DEFAULT_CACHE = "~/.cache/butterflyer_jax"


def path(name: str | os.PathLike[str]) -> epath.Path:
    """Returns a path with pathlib's methods, local (made absolute, `~` expanded) or gs://.

    Raises:
      UserError: the name is invalid, or an address of another kind.
    """
    text = os.fspath(name)
    if "\0" in text:
        raise UserError(f"not a name of a file: {text!r}")
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in SCHEMES:
        raise UserError(f"{text}: take a local path or gs://, {scheme}:// cannot be used here")
    if not separator and text.startswith(tuple(f"{scheme}:/" for scheme in SCHEMES)):
        # The form that pathlib gives an address.
        raise UserError(f"{text}: an address has two slashes: {text.replace(':/', '://', 1)}")
    path = epath.Path(name)
    if is_remote(path):
        if not text.partition("://")[2].strip("/"):
            raise UserError(f"{text} names no bucket: gs://BUCKET/FOLDER")
        extras.require("cloud", "gcsfs", purpose=f"{path}")
        _forget_listings()
        return path
    # epath would read gs://bucket as a folder below the current one.
    return path.expanduser().absolute()


def _forget_listings() -> None:
    """Clears the listing cache of gcsfs, which would hide new files of a folder that was listed before."""
    import fsspec

    fsspec.config.conf.setdefault("gcs", {}).setdefault("use_listings_cache", False)


def is_remote(name: str | os.PathLike[str]) -> bool:
    """Returns whether a path lies in a bucket."""
    return "://" in os.fspath(name)


def cache_dir() -> epath.Path:
    """Returns the folder for files that can be made again: `$BUTTERFLYER_CACHE`, else ~/.cache/butterflyer_jax."""
    return path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)
