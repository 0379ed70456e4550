"""Verification of an export: read back by its own runtime in a process without this package, and compared."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
_SCRIPT = """
import importlib.metadata, json, pathlib, sys
path, given, answers, files, blocked, runtime, outputs = sys.argv[1:]
outputs = json.loads(outputs)
# As on a machine where they are not installed.
sys.modules.update(dict.fromkeys(json.loads(blocked)))
import numpy as np
{read}
given = np.load(given)
images = given["images"]
# Batches of two sizes: of one photo, and of the rest.
parts = [answer(part) for part in (images[:1], images[1:]) if len(part)]
result = {{part: np.concatenate([np.asarray(one[part]) for one in parts]) for part in outputs if part in parts[0]}}
result["of_none"] = np.asarray(probabilities(images[:0]))
files = json.loads(files)
result["files"] = np.concatenate([np.asarray(probabilities(pixels_of(file)[None])) for file in files])
result["names"] = [name(file)[0] for file in files]
if "probabilities_of_bytes" in globals():
    result["bytes"] = np.asarray(probabilities_of_bytes([pathlib.Path(file).read_bytes() for file in files]))
def version(name):
    for name in (name, f"{{name}}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return "of unknown version"
np.savez(answers, version=version(runtime), **result)
"""


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


def check(run: runs.Run, network: Network, writer: ModuleType, path: Path, python: str, data: Any = None) -> Check:
    """Compares an export with the network itself.

    Args:
      run: run that was exported.
      network: network that was written.
      writer: module of the format.
      path: path of the export.
      python: interpreter that reads the export.
      data: open data set of the run; None opens it.

    Raises:
      UserError: the export cannot be read, or its answers differ.
    """
    samples = choose_samples(run, data)
    ours = reference.answers(network, samples.images)
    if hasattr(writer, "read") and not _has(python, writer.RUNTIME):
        again = dataclasses.replace(network, layers=writer.read(path))
        theirs: dict[str, Any] = reference.answers(dataclasses.replace(again, typicality=None), samples.images)
        runtime = f"our own reader, without {writer.RUNTIME},"
    else:
        theirs = _read_back(writer, usage.code(writer, network), path, samples, python)
        runtime = f"{writer.RUNTIME} {theirs['version']}"
    typicality = None
    if TYPICALITY in ours and writer.HAS_TYPICALITY:
        typicality = float(np.abs(theirs[TYPICALITY] - ours[TYPICALITY]).max())
        if not typicality <= TOLERANCE_OF_TYPICALITY:
            raise UserError(f"{path.name} answers otherwise than the run: typicality differs by {typicality:.2g}")
    compared, expected = theirs[PROBABILITIES], ours[PROBABILITIES]
    if compared.shape != expected.shape:
        raise UserError(f"{path.name} gives {compared.shape} probabilities, not {expected.shape}")
    difference = float(np.abs(compared - expected).max())
    if not difference <= getattr(writer, "TOLERANCE", TOLERANCE):
        raise UserError(f"{path.name} answers otherwise than the run: probabilities differ by {difference:.2g}")
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
        raise UserError(f"{path.name} answers otherwise than the run on photo files, by {difference:.2g}")
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


def _has(python: str, name: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", code], capture_output=True).returncode == 0
    # An interpreter that cannot start is reported when it is run next.
    return True


def _read_back(writer: ModuleType, code: str, path: Path, samples: Samples, python: str) -> dict[str, Any]:
    blocked = ["butterflyer_jax", "flax", *(() if writer.RUNTIME == "jax" else ("jax", "jaxlib"))]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    # Of Keras 2; and the devices that a test invents.
    for name in ("TF_USE_LEGACY_KERAS", "XLA_FLAGS", "PYTHONPATH"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        inputs, answers = Path(folder, "given.npz"), Path(folder, "answers.npz")
        np.savez(inputs, images=samples.images)
        files = [Path(folder, f"{number}.image") for number in range(len(samples.files))]
        for file, content in zip(files, samples.files, strict=True):
            file.write_bytes(content)
        given = [str(path), str(inputs), str(answers), json.dumps([*map(str, files)]), json.dumps(blocked)]
        given += [writer.RUNTIME, json.dumps([PROBABILITIES, TYPICALITY])]
        line = [python, "-c", _SCRIPT.format(read=code), *given]
        try:
            result = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)
        except OSError as error:
            raise UserError(f"--python {python}: {error.strerror or error}") from error
        if result.returncode:
            reason = (result.stderr.strip() or f"it ended with {result.returncode}").splitlines()[-1]
            raise UserError(f"{writer.RUNTIME} cannot read what was written ({python}): {reason}")
        with np.load(answers) as stored:
            return {name: stored[name] for name in stored.files}
