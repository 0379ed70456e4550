"""What is made of the photos of a data set, kept in the cache folder for the next command that wants the same."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import jax
import numpy as np

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data.dataset import FAKE
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.features import LAST_LAYER
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.bounded import BoundedFolder

# Of all arrays in the cache folder; the oldest go first.
MAX_BYTES = 2 << 30


def keep(
    kind: str, data: Data, depends_on: object, make: Callable[[], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """Returns arrays that were made of a data set, from the cache folder if they are there.

    A file that is damaged is made anew. One that cannot be written costs a line, and the time to make it again.

    Args:
      kind: what they are, a word; also the folder in the cache.
      data: open data set; its fingerprint stands for its photos.
      depends_on: all else that they depend on, such as the split and `network`; of types of JSON.
      make: makes the arrays, by name.
    """
    if data.fingerprint == FAKE:
        return make()
    key = json.dumps([metadata.version("butterflyer-jax"), jax.__version__, kind, data.fingerprint, depends_on])
    folder = Path(paths.cache_dir()) / "features"
    file = folder / kind / f"{sha256(key.encode()).hexdigest()}.npz"
    found = _read(file)
    if found is None:
        found = dict(make())
        _write(folder, file, found)
    return found


def network(loaded: runs.LoadedModel) -> str:
    """Returns a hash of all that the layers below the last one depend on: their variables, and how they see a photo.

    A run and one that was corrected from it have the same.
    """
    config = loaded.config
    data = config.data.image_size, config.data.eval_crop_fraction, config.data.boxes
    section = data, config.precision, asdict(config.model)
    digest = sha256(json.dumps([section, loaded.mesh.devices.flat[0].platform]).encode())
    collections = dict(loaded.variables.collections())
    collections["params"] = {name: layer for name, layer in collections["params"].items() if name != LAST_LAYER}
    for path, leaf in jax.tree_util.tree_leaves_with_path(collections):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def _read(file: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        # The time of the last use.
        os.utime(file)
        return found
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile):
        with contextlib.suppress(OSError):
            file.unlink()
        return None


def _write(folder: Path, file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    try:
        part, _ = BoundedFolder(folder, MAX_BYTES).reserve(file, len(content), ())
        if part is None:
            return
        try:
            part.write(content, 0)
        except BaseException:
            part.discard()
            raise
        part.publish()
    except (UserError, OSError):
        say(f"features cannot be kept in {folder}: the next command computes them again")
