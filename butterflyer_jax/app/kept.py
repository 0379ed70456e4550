"""The photographs that visitors spoke of, where they are kept: a folder that nothing is served from."""

from __future__ import annotations

import errno
import io
import os
import threading
from pathlib import Path

from PIL import Image

from butterflyer_jax.config import UserError
from butterflyer_jax.data import photo

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif"}


class KeptPhotographs:
    """A folder of picture files, each under the SHA-256 of its content; safe to use from several threads."""

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        """Opens or makes the folder.

        Args:
          folder: of the pictures.
          max_bytes: of all files in it; further pictures are refused.

        Raises:
          UserError: it cannot be made.
        """
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._bytes = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            raise UserError(f"cannot keep photographs in {folder}: {error.strerror or error}") from error

    def keep(self, data: bytes, sha256: str) -> None:
        """Writes a picture under its hash alone: a visitor's name for it decides nothing.

        Raises:
          ValueError: it is no picture.
          OSError: it cannot be written, or the folder is full.
        """
        target = self.folder / f"{sha256}{suffix(data)}"
        with self._lock:
            if target.exists():
                return
            if self._bytes + len(data) > self._max_bytes:
                raise OSError(errno.EDQUOT, "the folder of kept photographs is full", str(self.folder))
            part = target.with_name(f".{target.name}")
            try:
                part.write_bytes(data)
                part.replace(target)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._bytes += len(data)


def suffix(data: bytes) -> str:
    """Returns the suffix of a picture file, by its content.

    Raises:
      ValueError: it is no picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=photo.FORMATS) as image:
            return SUFFIXES[str(image.format)]
    except MemoryError:
        raise
    except Exception as error:
        # A damaged file makes Pillow's readers raise whatever they trip over.
        raise ValueError("no picture") from error
