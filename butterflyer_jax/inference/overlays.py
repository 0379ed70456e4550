"""Pictures of where the network looked, a file a photograph."""

from __future__ import annotations

import io
import os
import re
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from butterflyer_jax.storage import files

QUALITY = 90
# No photograph is called so, whichever folder is taken.
SUFFIX = ".gradcam.jpg"
# Four bytes each at most, of the 255 that a file's name may have.
MAX_LETTERS = 55


class HeatPictures:
    """Writes pictures into a folder, under names like those of the photographs."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Takes the folder, local or gs://; it is made if it is not there.

        Raises:
          UserError: it cannot be made.
        """
        self._folder = os.fspath(folder).rstrip("/") or "/"
        files.make_folder(self._folder)
        self._taken: set[str] = set()

    def write(self, name: str, pixels: np.ndarray) -> str:
        """Writes a picture as a JPEG; returns its path. No two of one writer have the same.

        Args:
          name: of the photograph, a path or a URL.
          pixels: uint8 [height, width, 3].

        Raises:
          UserError: it cannot be written.
        """
        target = f"{self._folder}/{self._free_name(name)}{SUFFIX}"
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
        files.write_bytes(target, buffer.getvalue())
        return target

    def _free_name(self, name: str) -> str:
        path = PurePosixPath(name.replace("\\", "/"))
        # With the folder's name, often the species; what is no letter, digit, point or hyphen means something to some
        # system or shell.
        plain = re.sub(r"[^\w.-]+", "_", f"{path.parent.name}_{path.stem}")[-MAX_LETTERS:].strip("._-")
        stem = free = plain or "photograph"
        number = 1
        # Some systems know no upper case.
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken.add(free.casefold())
        return free
