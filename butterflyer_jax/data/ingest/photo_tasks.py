"""Tasks that convert members of a zip to JPEGs of one size, the costly part of a build.

A task is a JSON file that lists members; its result is a file with their JPEGs, concatenated, and then an index
with the facts about each photo, or the reason why it cannot be used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import operator
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from etils import epath
from PIL import Image

from butterflyer_jax import cores
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import orientation, photo
from butterflyer_jax.data.ingest import duplicates, exif
from butterflyer_jax.data.ingest.inventory import Reject
from butterflyer_jax.data.ingest.source import Reader, open_reader
from butterflyer_jax.data.ingest.tables.boxes import MAX_OUTSIDE
from butterflyer_jax.data.ingest.zip_reader import DamagedMember, Member
from butterflyer_jax.storage import files, paths

MAX_TASK_MEMBERS = 256
MIN_TASK_MEMBERS = 16
# Amount of data per task, bytes: a killed build repeats at most this much per thread.
MAX_TASK_BYTES = 64 << 20
TASKS_PER_CORE = 8

# Photos that need hundreds of megabytes are processed one at a time, with any number of threads.
LARGE_BYTES = 32 << 20
LARGE_PIXELS = 25_000_000
_large = threading.RLock()

# Stride of the pixels that enter the statistics, in both directions.
_SAMPLE_STEP = 8
_LEVELS = np.arange(256) / 255
_LUMA = (0.299, 0.587, 0.114)
# Of `Prepared.box_problem`.
OUTSIDE, TURNED = "lies outside of its photo", "may be of the photo before or after it is turned, as its EXIF says"
# Share by which width to height may differ: rounding.
MAX_SHAPE_ERROR = 0.02


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo with its prepared JPEG.

    Attributes:
      photo_id: the member's path in the zip.
      species, given_split: species and split given by the zip.
      content_hash: SHA-256 of the member's bytes, hexadecimal.
      perceptual_hash: see `duplicates.perceptual_hash`.
      source_width, source_height: size of the upright photo in the zip, pixels.
      captured: camera and capture time, see `exif.captured`.
      colour_profile: treatment of the colour profile, see `colour.apply_profile`.
      width, height: size of the JPEG, pixels.
      mean, mean_square: statistics of the channels red, green and blue, from 0 to 1.
      jpegs, offset, num_bytes: file that holds the JPEG, and its range there, bytes.
      box: left, top, right, bottom of the butterfly, as shares of the upright photo; None where it is not known.
      box_problem: reason why the box in the source is not used, "" for none.
      split: train, val or test, once assigned.
      duplicate_group: number of the group of near-duplicates, "" for none.
      group: smallest content hash of the photos in its group.
    """

    photo_id: str
    species: str
    given_split: str | None
    content_hash: str
    perceptual_hash: str
    source_width: int
    source_height: int
    colour_profile: str
    captured: str
    width: int
    height: int
    mean: list[float]
    mean_square: list[float]
    jpegs: str
    offset: int
    num_bytes: int
    box: list[float] | None = None
    box_problem: str = ""
    split: str = ""
    duplicate_group: str = ""
    group: str = ""

    @property
    def brightness(self) -> float:
        """Mean luma, from 0 to 255."""
        return 255 * sum(weight * channel for weight, channel in zip(_LUMA, self.mean, strict=True))

    def read(self) -> bytes:
        """Returns the JPEG."""
        return files.read_range(self.jpegs, self.offset, self.num_bytes)


def write_tasks(
    folder: epath.Path, raw_zip: str | os.PathLike[str], members: Sequence[Member], config: BuildConfig
) -> None:
    """Divides the members into tasks, in the order of the zip, and writes the tasks to `folder`."""
    ordered = sorted(members, key=lambda member: (member.archive, member.header_offset))
    num_cores = cores.usable()
    most = max(MIN_TASK_MEMBERS, min(MAX_TASK_MEMBERS, len(ordered) // (TASKS_PER_CORE * num_cores)))
    # As many of one size for each core, or some cores would wait for the last ones.
    rounds = max(1, -(-len(ordered) // (most * num_cores)))
    most = max(MIN_TASK_MEMBERS, -(-len(ordered) // (rounds * num_cores)))
    tasks: list[list[Member]] = [[]]
    num_bytes = 0
    for member in ordered:
        if len(tasks[-1]) >= most or num_bytes >= MAX_TASK_BYTES:
            tasks.append([])
            num_bytes = 0
        tasks[-1].append(member)
        num_bytes += member.compressed_bytes
    # `astuple` copies each value deeply.
    fields = operator.attrgetter(*(field.name for field in dataclasses.fields(Member)))
    for number, task in enumerate(tasks):
        content = {
            "raw_zip": os.fspath(raw_zip),
            "config": dataclasses.asdict(config),
            "members": [fields(member) for member in task],
        }
        files.write_text(folder / f"{number:05}.task.json", json.dumps(content))


def run_task(task: str) -> None:
    """Decodes, checks, scales, hashes and encodes the photos of a task; does nothing if its result exists.

    Raises:
      UserError: the result cannot be written.
    """
    jpegs, index = _results(task)
    if files.exists(index):
        return
    content = json.loads(files.read_text(task))
    config = BuildConfig(**content["config"])
    members = [Member(*fields) for fields in content["members"]]
    reader = open_reader(content["raw_zip"], members)
    rows: list[Any] = []
    with files.writing(jpegs) as file:
        for member in members:
            try:
                image, facts = _prepare(reader, member, config)
                rows.append({**facts, "num_bytes": photo.write(image, file, config.jpeg_quality)})
            except (DamagedMember, photo.PhotoError) as error:
                rows.append(str(error))
    # Written last: if it exists, the JPEGs are complete.
    files.write_text(index, json.dumps(rows))


def is_done(task: str) -> bool:
    """Returns whether a task's result exists and has its full length."""
    jpegs, index = _results(task)
    if not (files.exists(index) and files.exists(jpegs)):
        return False
    rows = json.loads(files.read_text(index))
    if jpegs.stat().length == sum(row["num_bytes"] for row in rows if isinstance(row, dict)):
        return True
    index.unlink()
    return False


def read_results(task: str) -> tuple[list[Prepared], list[Reject]]:
    """Returns the prepared photos and the rejects of a finished task."""
    jpegs, index = _results(task)
    members = [Member(*fields) for fields in json.loads(files.read_text(task))["members"]]
    photos, rejects, offset = [], [], 0
    for member, row in zip(members, json.loads(files.read_text(index)), strict=True):
        if isinstance(row, str):
            rejects.append(Reject(member.name, row))
            continue
        photos.append(Prepared(member.name, member.species, member.split, jpegs=os.fspath(jpegs), offset=offset, **row))
        offset += row["num_bytes"]
    return photos, rejects


def _results(task: str) -> tuple[epath.Path, epath.Path]:
    path = paths.path(task)
    stem = path.name.removesuffix(".task.json")
    return path.parent / f"{stem}.jpegs", path.parent / f"{stem}.index.json"


def _prepare(reader: Reader, member: Member, config: BuildConfig) -> tuple[Image.Image, dict[str, Any]]:
    """Returns a resized photo, and the fields of `Prepared` that depend on its pixels.

    Raises:
      DamagedMember, PhotoError: the photo cannot be used.
    """
    try:
        return _load(reader, member, config)
    except MemoryError:
        # A second attempt, without another large photo at the same time.
        with _large:
            try:
                return _load(reader, member, config)
            except MemoryError as error:
                raise photo.PhotoError("too large: there is not enough memory to decode it") from error


def _load(reader: Reader, member: Member, config: BuildConfig) -> tuple[Image.Image, dict[str, Any]]:
    with _one_at_a_time(member.num_bytes > LARGE_BYTES):
        data = reader.read(member)
        image, source = photo.load(
            data, config.image_size, config.max_pixels, lambda pixels: _one_at_a_time(pixels > LARGE_PIXELS)
        )
    mean, mean_square = _statistics(image)
    box, box_problem = _shares(member.boxes, source) if member.boxes else (None, "")
    return image, {
        "box": box,
        "box_problem": box_problem,
        "content_hash": sha256(data).hexdigest(),
        "perceptual_hash": duplicates.perceptual_hash(image),
        "source_width": source.size[0],
        "source_height": source.size[1],
        "colour_profile": source.profile,
        "captured": exif.captured(source.exif),
        "width": image.width,
        "height": image.height,
        "mean": mean,
        "mean_square": mean_square,
    }


def _shares(boxes: Sequence[Sequence[float]], source: photo.Source) -> tuple[list[float] | None, str]:
    """Returns the box around those of `tables.boxes`, as shares of the upright photo; or None, and the reason."""
    found = []
    for box in boxes:
        sides, problem = _share(box, source)
        if sides is None:
            return None, problem
        found.append(sides)
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return [round(side, 6) for side in (min(lefts), min(tops), max(rights), max(bottoms))], ""


def _share(box: Sequence[float], source: photo.Source) -> tuple[tuple[float, ...] | None, str]:
    *sides, width, height = box
    is_percent = width == height == 100
    is_sized = width > 0 and not is_percent and not width == height == 1
    same_shape = is_sized and abs(width * source.size[1] / (height * source.size[0]) - 1) <= MAX_SHAPE_ERROR
    # Programs draw boxes on the photo as it is shown, or as it is stored; those that give percent do the first.
    if source.turn is not None and not is_percent:
        is_square = abs(source.size[0] / source.size[1] - 1) <= MAX_SHAPE_ERROR
        if source.turn not in orientation.SIDEWAYS or is_square or not same_shape:
            return None, TURNED
    if is_sized and not same_shape:
        return None, "is of a photo of another shape"
    if not width:
        width, height = source.size
    left, top, right, bottom = (side / of for side, of in zip(sides, (width, height) * 2, strict=True))
    if min(left, top) < -MAX_OUTSIDE or max(right, bottom) > 1 + MAX_OUTSIDE:
        return None, OUTSIDE
    left, top, right, bottom = found = tuple(min(1.0, max(0.0, side)) for side in (left, top, right, bottom))
    if right <= left or bottom <= top:
        return None, "is empty"
    return found, ""


def _one_at_a_time(large: bool) -> contextlib.AbstractContextManager[Any]:
    return _large if large else contextlib.nullcontext()


def _statistics(image: Image.Image) -> tuple[list[float], list[float]]:
    """Returns the mean and the mean square of each channel, from 0 to 1."""
    size = max(1, image.width // _SAMPLE_STEP), max(1, image.height // _SAMPLE_STEP)
    histogram = np.reshape(image.resize(size, Image.Resampling.NEAREST).histogram(), (3, 256)) / (size[0] * size[1])
    return (histogram @ _LEVELS).round(5).tolist(), (histogram @ _LEVELS**2).round(5).tolist()
