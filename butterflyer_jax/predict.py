"""Names the species on photographs: a line of JSON, or of CSV, an image.

    python -m butterflyer_jax.predict --run DIR IMAGE… [--format csv] [--top 3] [--flip]
    ls photos/*.jpg | python -m butterflyer_jax.predict --run DIR -

An IMAGE is a picture file, a folder, a pattern ('photos/**/*.jpg'), a zip, a URL, or - for names on stdin.
A line holds image, species, probability, none_of_these (whether the probability is below the threshold that was chosen
on validation photographs), top5 and probabilities; of a file that is no photograph, image and error.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from butterflyer_jax import cli, pictures_in
from butterflyer_jax.calibration import Calibration
from butterflyer_jax.config import UserError
from butterflyer_jax.console import say
from butterflyer_jax.data import photo, storage

Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | pictures_in.Picture

MAX_BATCH = 32
TOP = 5
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

    def predict(self, images: Iterable[Source], top: int = TOP, flip: bool = False) -> list[dict[str, Any]]:
        """Returns one answer an image, in order.

        Args:
          images: paths (local or gs://), URLs, bytes of picture files, PIL images, or uint8 arrays [height, width, 3].
          top: how many species an answer ranks.
          flip: whether the answer is the mean of those to the picture and to its mirror image.

        Returns:
          Dicts of species, probability, none_of_these (the probability is below the threshold), top<n> (species and
          probability) and probabilities (by species); of an image that cannot be read, error alone.
        """
        return list(self.stream(images, top, flip))

    def stream(self, images: Iterable[Source], top: int = TOP, flip: bool = False) -> Iterator[dict[str, Any]]:
        """Yields what `predict` returns, batch by batch."""
        rest = iter(images)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
            while chunk := list(itertools.islice(rest, MAX_BATCH)):
                yield from self._answer(list(pool.map(self._load, chunk)), top, flip)

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

    def _answer(self, inputs: Sequence[np.ndarray | str], top: int, flip: bool) -> Iterator[dict[str, Any]]:
        pixels = [x for x in inputs if not isinstance(x, str)]
        rows: Iterator[np.ndarray] = iter(())
        if pixels:
            probabilities = self._classify(np.stack(pixels))
            if flip:
                probabilities = (probabilities + self._classify(np.stack(pixels)[:, :, ::-1])) / 2
            rows = iter(probabilities)
        for x in inputs:
            yield {"error": x} if isinstance(x, str) else self._describe(next(rows), top)

    def _classify(self, images: np.ndarray) -> np.ndarray:
        # Padded to a power of two, so that few shapes are ever compiled.
        padding = (1 << (len(images) - 1).bit_length()) - len(images)
        padded = np.pad(images, [(0, padding), (0, 0), (0, 0), (0, 0)])
        return np.asarray(self._probabilities(self._variables, padded))[: len(images)]

    def _describe(self, probabilities: np.ndarray, top: int) -> dict[str, Any]:
        rounded = [round(float(p), DECIMALS) for p in probabilities]
        ranked = [{"species": self.species[i], "probability": rounded[i]} for i in np.argsort(-probabilities)[:top]]
        return {
            **ranked[0],
            "none_of_these": bool(probabilities.max() < self.calibration.threshold),
            f"top{top}": ranked,
            "probabilities": dict(zip(self.species, rounded, strict=True)),
        }


def _to_image(source: Source, image_size: int, max_pixels: int) -> Image.Image:
    """Returns an upright RGB image, scaled as the builder does it."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3:
            raise photo.PhotoError(f"an array must be uint8 [height, width, 3], not {source.dtype} {source.shape}")
        source = Image.fromarray(source)
    if isinstance(source, Image.Image):
        return photo.resize_short_side(photo.upright_rgb(source), image_size, max_pixels)
    if isinstance(source, pictures_in.Picture):
        data = source.read()
    elif isinstance(source, bytes):
        data = source
    else:
        data = pictures_in.read_url(str(source)) if pictures_in.is_url(source) else storage.path(source).read_bytes()
    return photo.load(data, image_size, max_pixels)[0]


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.predict", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, 'pattern', zip, URL, or - for stdin")
    parser.add_argument("--format", default="json", choices=("json", "csv"), help="of the lines (default: json)")
    parser.add_argument("--top", type=int, default=TOP, metavar="N", help="species ranked a line (default: 5)")
    parser.add_argument("--flip", action="store_true", help="mean of the answers to a picture and its mirror image")
    args = parser.parse_args(argv)
    if args.top < 1:
        raise UserError("--top must be 1 at least")
    predictor = Predictor.load(args.run)
    top = min(args.top, len(predictor.species)) if args.top != TOP else TOP
    asked, read = itertools.tee(pictures_in.pictures(args.images))
    write = _csv_writer(top) if args.format == "csv" else _write_json
    start = time.perf_counter()
    count = failed = 0
    for image, answer in zip(asked, predictor.stream(read, top, args.flip), strict=True):
        count += 1
        failed += "error" in answer
        write(image.name, answer)
    seconds = time.perf_counter() - start
    if not count:
        raise UserError("no pictures on stdin")
    say(f"{count} images in {seconds:.1f} s, {count / seconds:,.1f} images/s")
    if failed:
        print(f"error: {failed} of {count} images could not be read", file=sys.stderr)
        sys.exit(1)


def _write_json(image: str, answer: dict[str, Any]) -> None:
    print(json.dumps({"image": image, **answer}, ensure_ascii=False), flush=True)


def _csv_writer(top: int) -> Callable[[str, dict[str, Any]], None]:
    """Prints the header; returns what prints a line."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("species", "probability")]
    writer.writerow(["image", "species", "probability", "none_of_these", *more, "error"])

    def write(image: str, answer: dict[str, Any]) -> None:
        if "error" in answer:
            writer.writerow([image, *[""] * (3 + len(more)), answer["error"]])
        else:
            ranked = [value for of in answer[f"top{top}"][1:] for value in (of["species"], of["probability"])]
            ranked += [""] * (len(more) - len(ranked))
            unknown = str(answer["none_of_these"]).lower()
            writer.writerow([image, answer["species"], answer["probability"], unknown, *ranked, ""])
        sys.stdout.flush()

    return write


if __name__ == "__main__":
    cli.run(main)
