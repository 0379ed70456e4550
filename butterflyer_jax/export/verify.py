"""Verification of an export: read back by its own runtime, in a process without this package, and compared."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.data import dataset, photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.export import reference, usage
from butterflyer_jax.export.network import PROBABILITIES, TYPICALITY, Network
from butterflyer_jax.export.runtime_process import RuntimeProcess

MAX_PHOTOS = 32
# Photos on which the ranges of int8 are chosen; more change little.
MAX_CALIBRATION = 200
# Largest difference of probabilities. Other orders of summation give about 1e-5; a wrong layout gives tenths.
TOLERANCE = 1e-3
# The same of the typicality, whose spread over photos of the species is about 1.
TOLERANCE_OF_TYPICALITY = 1e-2
# The same for image files, which Pillow and TensorFlow scale by their own filters: some pixels differ by a level.
TOLERANCE_OF_BYTES = 0.1
SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Check:
    """Result of the comparison of an export with its run.

    Attributes:
      runtime: runtime that read the export, with its version.
      photographs: number of images that were compared.
      of: kind of the images: "test photos", or "pictures of noise".
      largest_difference: largest difference of a probability, among all images and species.
      same_species: number of images whose most probable species is the same.
      largest_difference_of_bytes: largest difference for image files as input; None if the code did not run.
      largest_difference_of_typicality: largest difference of a typicality; None if the export has none.
    """

    runtime: str
    photographs: int
    of: str
    largest_difference: float
    same_species: int
    largest_difference_of_bytes: float | None = None
    largest_difference_of_typicality: float | None = None


@dataclass(frozen=True)
class Samples:
    """Images to compare.

    Attributes:
      images: uint8 [count, image_size, image_size, 3].
      of: kind of the images, as in `Check`.
      files: contents of the image files that they were decoded from.
    """

    images: UInt8[np.ndarray, "count side side 3"]
    of: str
    files: Sequence[bytes]


def check(
    run: runs.Run, network: Network, writer: ModuleType, path: Path, process: RuntimeProcess, data: Any = None
) -> Check:
    """Compares an export with the network itself.

    Args:
      run: run that was exported.
      network: network that was written.
      writer: module of the format.
      path: path of the export.
      process: process that reads the export.
      data: open data set of the run; None opens it.

    Raises:
      UserError: the export cannot be read, or its answers differ.
    """
    samples = choose_samples(run, data)
    if hasattr(writer, "read") and not process.has_runtime():
        ours = reference.answers(network, samples.images)
        again = dataclasses.replace(network, layers=writer.read(path))
        theirs: dict[str, Any] = reference.answers(dataclasses.replace(again, typicality=None), samples.images)
        runtime = f"our own reader, without {writer.RUNTIME},"
    else:
        with ThreadPoolExecutor(1) as beside:
            # The other process works meanwhile.
            read = beside.submit(process.read, usage.code(writer, network), path, samples.images, samples.files)
            ours = reference.answers(network, samples.images)
            theirs = read.result()
        runtime = f"{writer.RUNTIME} {theirs['version']}"
    typicality = None
    if TYPICALITY in ours and writer.HAS_TYPICALITY:
        typicality = float(np.abs(theirs[TYPICALITY] - ours[TYPICALITY]).max())
        if not typicality <= TOLERANCE_OF_TYPICALITY:
            raise UserError(f"{path.name} answers differently from the run: typicality differs by {typicality:.2g}")
    compared, expected = theirs[PROBABILITIES], ours[PROBABILITIES]
    if compared.shape != expected.shape:
        raise UserError(f"{path.name} gives {compared.shape} probabilities, not {expected.shape}")
    difference = float(np.abs(compared - expected).max())
    if not difference <= getattr(writer, "TOLERANCE", TOLERANCE):
        raise UserError(f"{path.name} answers differently from the run: probabilities differ by {difference:.2g}")
    of_bytes = _check_files(theirs, expected, network.species, path) if "files" in theirs else None
    same = int((compared.argmax(axis=1) == expected.argmax(axis=1)).sum())
    return Check(runtime, len(expected), samples.of, difference, same, of_bytes, typicality)


def _check_files(theirs: Mapping[str, Any], ours: np.ndarray, species: Sequence[str], path: Path) -> float:
    """Returns the largest difference of a probability for photo files.

    Raises:
      UserError: it is too large, a name does not fit, or no images are not answered by no probabilities.
    """
    answers = [theirs[name] for name in ("files", "bytes") if name in theirs]
    difference = max(float(np.abs(answer - ours).max()) for answer in answers)
    if not difference <= TOLERANCE_OF_BYTES:
        raise UserError(f"{path.name} answers differently from the run on photo files, by {difference:.2g}")
    if list(theirs["names"]) != [species[label] for label in theirs["files"].argmax(axis=1)]:
        raise UserError(f"{path.name} names other species than those of its probabilities")
    if theirs["of_none"].shape != (0, len(species)):
        raise UserError(f"{path.name} gives {theirs['of_none'].shape} probabilities for a batch of 0 images")
    return difference


def choose_samples(run: runs.Run, data: Any = None) -> Samples:
    """Returns images of the run's data set as evaluation sees them; noise if the data set is missing or fake."""
    if found := _photos(run, data, SPLITS, MAX_PHOTOS):
        return found
    drawn = _noise_files(run.config.build.image_size)
    return Samples(np.stack(list(_inputs(drawn, run.config))), "pictures of noise", drawn)


def choose_calibration(run: runs.Run, data: Any = None) -> UInt8[np.ndarray, "count side side 3"]:
    """Returns training images as evaluation sees them, uint8 [count, image_size, image_size, 3].

    Raises:
      UserError: the data set is missing or fake.
    """
    if found := _photos(run, data, ("train",), MAX_CALIBRATION):
        return found.images
    raise UserError(f"int8 is calibrated on training photos, and {run.dataset} has none here: take format litert")


def _photos(run: runs.Run, data: Any, splits: Sequence[str], most: int) -> Samples | None:
    """Returns images of the first of the splits that has some; None if the data set is missing or fake."""
    config = run.config
    with contextlib.ExitStack() as stack:
        if data is None and run.dataset != dataset.FAKE:
            with contextlib.suppress(UserError, OSError):
                once = dataclasses.replace(config, data=dataclasses.replace(config.data, mode="jpeg"))
                data = stack.enter_context(contextlib.closing(dataset.open_data(run.dataset, once)))
        if data is None or run.dataset == dataset.FAKE:
            return None
        split = next(name for name in splits if data.num_photos(name))
        # Evenly, so that all shards, and so most species, are among them.
        count = data.num_photos(split)
        numbers = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))
        jpegs = list(data.jpegs(split, numbers))
    return Samples(np.stack(list(_inputs(jpegs, config))), f"{split} photos", jpegs)


def _noise_files(short_side: int) -> list[bytes]:
    """Returns PNG files of coarse noise: of fine noise any filter would make another picture."""
    files = []
    for coarse in np.random.default_rng(0).integers(0, 256, (MAX_PHOTOS, 6, 8, 3), np.uint8):
        size = (short_side * 3 // 2, short_side * 9 // 8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, "PNG", compress_level=1)
        files.append(file.getvalue())
    return files


def _inputs(jpegs: Sequence[bytes], config: Any) -> Iterator[np.ndarray]:
    for jpeg in jpegs:
        image, _ = photo.load(jpeg, config.build.image_size, config.build.max_pixels)
        yield photo.central_crop(image, config.data.eval_crop_fraction, config.data.image_size)
