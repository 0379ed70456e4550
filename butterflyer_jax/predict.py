"""Names the species on photographs: one JSON line an image.

    python -m butterflyer_jax.predict --run DIR IMAGE…

A line holds image, species, probability, top5 and probabilities; of a file that is no photograph, image and error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from butterflyer_jax import cli
from butterflyer_jax.calibration import Calibration
from butterflyer_jax.config import UserError
from butterflyer_jax.data import photo, storage
from butterflyer_jax.data.archive import PHOTO_SUFFIXES

Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray

MAX_BATCH = 32
DECIMALS = 6


class Predictor:
    """A trained classifier; `Predictor.load(run).predict([path])`.

    Attributes:
      species: names, in the order of the probabilities.
      calibration: temperature of the probabilities, and threshold below which a photograph is none of these.
    """

    def __init__(self, model: Any, variables: Any, run: Any, calibration: Calibration | None = None) -> None:
        """Takes the network, its variables, the run they come from, and what corrects its answers; see `load`."""
        import jax

        from butterflyer_jax import augment

        self.species: tuple[str, ...] = run.species
        self.calibration = calibration or Calibration()
        self._config = run.config
        temperature = self.calibration.temperature

        self._variables = variables

        @jax.jit
        def probabilities(variables: Any, images: jax.Array) -> jax.Array:
            logits = model.apply(variables.collections(), augment.normalise(images, run.config.model), train=False)
            return jax.nn.softmax(logits / temperature)

        self._probabilities = probabilities

    @classmethod
    def load(cls, run_folder: str | os.PathLike[str]) -> Predictor:
        """Returns the predictor of a run's best checkpoint.

        Raises:
          UserError: no run there, or no checkpoint yet.
        """
        from butterflyer_jax import runs

        run = runs.read(run_folder)
        model, variables, step, _ = runs.load_model(run)
        return cls(model, variables, run, runs.read_calibration(run, step))

    def predict(self, images: Iterable[Source]) -> list[dict[str, Any]]:
        """Returns one answer an image, in order.

        Args:
          images: paths (local or gs://), bytes of picture files, PIL images, or uint8 arrays [height, width, 3].

        Returns:
          Dicts of species, probability, top5 (species and probability) and probabilities (by species); of an image that
          cannot be read, error alone.
        """
        return list(self.stream(images))

    def stream(self, images: Iterable[Source]) -> Iterator[dict[str, Any]]:
        """Yields what `predict` returns, batch by batch."""
        chunk: list[np.ndarray | str] = []
        for image in images:
            chunk.append(self._load(image))
            if len(chunk) == MAX_BATCH:
                yield from self._answer(chunk)
                chunk = []
        if chunk:
            yield from self._answer(chunk)

    def _load(self, source: Source) -> np.ndarray | str:
        """Returns the network's input, uint8 [image_size, image_size, 3], or the reason why there is none."""
        config = self._config
        try:
            image = _to_image(source, config.build.image_size, config.build.max_pixels)
        except OSError as error:
            return error.strerror or str(error)
        except photo.PhotoError as error:
            return str(error)
        return photo.central_crop(image, config.data.eval_crop_fraction, config.data.image_size)

    def _answer(self, inputs: Sequence[np.ndarray | str]) -> Iterator[dict[str, Any]]:
        pixels = [x for x in inputs if not isinstance(x, str)]
        rows = iter(self._classify(np.stack(pixels)) if pixels else ())
        for x in inputs:
            yield {"error": x} if isinstance(x, str) else self._describe(next(rows))

    def _classify(self, images: np.ndarray) -> np.ndarray:
        # Padded to a power of two, so that few shapes are ever compiled.
        padding = (1 << (len(images) - 1).bit_length()) - len(images)
        padded = np.pad(images, [(0, padding), (0, 0), (0, 0), (0, 0)])
        return np.asarray(self._probabilities(self._variables, padded))[: len(images)]

    def _describe(self, probabilities: np.ndarray) -> dict[str, Any]:
        rounded = [round(float(p), DECIMALS) for p in probabilities]
        top5 = [{"species": self.species[i], "probability": rounded[i]} for i in np.argsort(-probabilities)[:5]]
        return {**top5[0], "top5": top5, "probabilities": dict(zip(self.species, rounded, strict=True))}


def _to_image(source: Source, image_size: int, max_pixels: int) -> Image.Image:
    """Returns an upright RGB image, scaled as the builder does it."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3:
            raise photo.PhotoError(f"an array must be uint8 [height, width, 3], not {source.dtype} {source.shape}")
        source = Image.fromarray(source)
    if isinstance(source, Image.Image):
        return photo.resize_short_side(photo.upright_rgb(source), image_size, max_pixels)
    data = source if isinstance(source, bytes) else storage.path(source).read_bytes()
    return photo.load(data, image_size, max_pixels)[0]


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.predict", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="picture file; a folder stands for all pictures in it"
    )
    args = parser.parse_args(argv)
    images = [file for name in args.images for file in _files(name)]
    if not images:
        raise UserError(f"no pictures in {', '.join(args.images)}")
    failed = 0
    for image, answer in zip(images, Predictor.load(args.run).stream(images), strict=True):
        failed += "error" in answer
        print(json.dumps({"image": image, **answer}, ensure_ascii=False), flush=True)
    if failed:
        print(f"error: {failed} of {len(images)} images could not be read", file=sys.stderr)
        sys.exit(1)


def _files(name: str) -> list[str]:
    if not Path(name).is_dir():
        return [name]
    return sorted(str(path) for path in Path(name).rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)


if __name__ == "__main__":
    cli.run(main)
