"""Images in files: the raw zip and the contact sheet."""

from __future__ import annotations

import errno
import io
import os
import textwrap
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from butterflyer_jax import cores
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, outputs, pictures
from butterflyer_jax.synthetic.photo import draw_photo
from butterflyer_jax.synthetic.random_species import random_species
from butterflyer_jax.synthetic.species import SPECIES, Species

ASPECTS = ((4, 3), (3, 2), (5, 4), (1, 1), (3, 4), (4, 5))
# Date of every member, by which a drawn zip is known as one that may be drawn again.
DATE = (2024, 6, 1, 12, 0, 0)


def write_zip(
    path: str | os.PathLike[str],
    photos_per_species: int = 80,
    seed: int = 0,
    long_side: int = 320,
    num_species: int = 0,
) -> Path:
    """Writes a raw zip of JPEGs, `butterflies/<species>/0001.jpg` and so on; returns its path.

    The same arguments give the same bytes. Missing parent folders are made.

    Args:
      path: zip to write.
      photos_per_species: number of images of each species.
      seed: seed of all draws.
      long_side: most pixels of an image's longer side, which has 0.9 to 1 times as many.
      num_species: how many species are drawn at random; 0 takes the eight that have names.

    Raises:
      UserError: an argument is out of range, or the path is a file that was not drawn.
      OSError: the file cannot be written.
    """
    for what, value, least in (
        ("photos_per_species (--photos)", photos_per_species, 1),
        ("seed", seed, 0),
        ("long_side", long_side, 32),
        ("num_species (--species)", num_species, 0),
    ):
        if value < least:
            raise UserError(f"{what} {value}: take {least} or more")
    path = Path(path)
    outputs.check_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.is_file() and not _is_drawn(path):
        raise UserError(f"{path} exists, and is no zip of drawn photos; take another --output")
    drawn = tuple(random_species(seed, number) for number in range(num_species)) or SPECIES
    members = [(species, photo) for species in range(len(drawn)) for photo in range(photos_per_species)]
    # Threads, as NumPy and Pillow release the interpreter lock in the costly parts: measured to be as fast as
    # processes, which scripts without a guarded main could not start.
    with (
        files.writing(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ThreadPoolExecutor(min(8, cores.usable())) as pool,
    ):
        jpegs = pool.map(lambda member: _photo_jpeg(drawn[member[0]], [seed, *member], long_side), members)
        for (species, photo), jpeg in zip(members, jpegs, strict=True):
            name = f"butterflies/{drawn[species].name}/{photo + 1:04d}.jpg"
            archive.writestr(zipfile.ZipInfo(name, DATE), jpeg)
    return path


def _is_drawn(path: Path) -> bool:
    """Returns whether a file is a zip that `write_zip` wrote, or empty."""
    if not path.stat().st_size:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return all(member.date_time == DATE for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def write_contact_sheet(path: str | os.PathLike[str], columns: int = 5, seed: int = 0, cell_width: int = 200) -> Path:
    """Writes a picture with a row for each species: its name and traits, then `columns` images; returns its path.

    Raises:
      UserError: arguments that make no sense, such as a path that ends neither in .png nor in .jpg or .jpeg.
      OSError: the file cannot be written.
    """
    path = Path(path)
    pictures.check(path, "--contact_sheet")
    for what, value, least in (("columns", columns, 1), ("seed", seed, 0), ("cell_width", cell_width, 32)):
        if value < least:
            raise UserError(f"{what} {value}: take {least} or more")
    width, height, gap = cell_width, cell_width * 3 // 4, cell_width // 25
    sheet = Image.new("RGB", ((width + gap) * (columns + 1), (height + gap) * len(SPECIES) + gap), (250, 248, 243))
    draw, large, small = ImageDraw.Draw(sheet), *(ImageFont.load_default(cell_width * part) for part in (0.096, 0.075))
    for row, species in enumerate(SPECIES):
        left, top = 2 * gap, gap + row * (height + gap)
        draw.text((left, top + height * 0.27), species.name, (44, 38, 34), large)
        draw.text((left, top + height * 0.47), textwrap.fill(species.traits, 25), (122, 112, 102), small, spacing=gap)
        for column in range(columns):
            rng = np.random.default_rng([seed, row, column])
            # Drawn at twice the size: the thumbnails come out crisp.
            photo = draw_photo(species, rng, 2 * width, 2 * height).reduce(2)
            sheet.paste(photo, ((column + 1) * (width + gap), top))
    pictures.write(sheet, path)
    return path


def _photo_jpeg(species: Species, seed: Sequence[int], long_side: int) -> bytes:
    rng = np.random.default_rng(seed)
    wide, high = ASPECTS[rng.integers(len(ASPECTS))]
    scale = long_side * rng.uniform(0.9, 1) / max(wide, high)
    picture, buffer = draw_photo(species, rng, round(wide * scale), round(high * scale)), io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(80, 95)))
    return buffer.getvalue()
