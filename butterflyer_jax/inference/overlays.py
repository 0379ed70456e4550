"""Heat-map overlays written as files, one per image."""

from __future__ import annotations

import io
import os
import re
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from butterflyer_jax.storage import files

QUALITY = 90
# Ending that no input image has, whichever folder is chosen.
SUFFIX = ".gradcam.jpg"
# Letters of a file name: at most four bytes each, of the 255 that a name may have.
MAX_LETTERS = 55


class HeatPictures:
    """Writer of overlays into a folder, under names like those of the images."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens the folder, local or gs://; it is created if it does not exist.

        Raises:
          UserError: the folder cannot be created.
        """
        self._folder = os.fspath(folder).rstrip("/") or "/"
        files.make_folder(self._folder)
        self._taken: set[str] = set()

    def write(self, name: str, pixels: UInt8[np.ndarray, "height width 3"]) -> str:
        """Writes an overlay as a JPEG; returns its path, which is unique within this writer.

        Args:
          name: name of the image, a path or a URL.
          pixels: uint8 [height, width, 3].

        Raises:
          UserError: the file cannot be written.
        """
        target = f"{self._folder}/{self._free_name(name)}{SUFFIX}"
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
        files.write_bytes(target, buffer.getvalue())
        return target

    def _free_name(self, name: str) -> str:
        path = PurePosixPath(name.replace("\\", "/"))
        # With the folder's name, often the species; other characters than letters, digits, points and hyphens are
        # special to some system or shell.
        plain = re.sub(r"[^\w.-]+", "_", f"{path.parent.name}_{path.stem}")[-MAX_LETTERS:].strip("._-")
        stem = free = plain or "photo"
        number = 1
        # Some file systems ignore case.
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken.add(free.casefold())
        return free
