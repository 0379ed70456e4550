"""Drawn pictures in files that a user names, .png or .jpg."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, outputs, paths

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
# A comment in each file, by which a later picture may replace it.
MARK = "drawn by butterflyer_jax"


def check(name: str | os.PathLike[str], option: str) -> None:
    """Checks the file of a picture before it is drawn.

    Args:
      name: file that will be written, local or gs://.
      option: option that names the file, for the message.

    Raises:
      UserError: the suffix is neither .png nor .jpg or .jpeg, the file cannot be written, or it is another picture.
    """
    if paths.path(name).suffix.lower() not in FORMATS:
        raise UserError(f"{option} {os.fspath(name)}: give it the suffix .png or .jpg")
    outputs.check_file(name, MARK.encode(), option)


def write(image: Image, name: str | os.PathLike[str]) -> None:
    """Writes a picture whose file `check` has passed; a later picture may replace it.

    Raises:
      UserError: the file cannot be written.
    """
    from PIL.PngImagePlugin import PngInfo

    about = PngInfo()
    about.add_text("Comment", MARK)
    kind = FORMATS[paths.path(name).suffix.lower()]
    options: dict[str, Any] = {"pnginfo": about} if kind == "PNG" else {"comment": MARK, "quality": 90}
    with files.writing(name) as file:
        image.save(file, kind, **options)
