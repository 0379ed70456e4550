"""Answers to a run's own test photos as another camera and another place might show them: right, wrong and refused.

    python benchmarks/shifts.py --run DIR [--json FILE]

Prints for each kind of change top-1 with Wilson's 95% interval, and the shares of all photos that are right and
refused, wrong and answered, and wrong and answered with 80% or more. Six changes are those that earlier versions
printed: darker, blurred, smaller, off centre, on other surroundings, whose backgrounds are those of the drawn
butterflies; the others are in `camera.py`. They are made up: they show what a network can bear, not how it does in the
field.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from camera import CHANGES, Change, three_at_once
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from butterflyer_jax import cli, runs
from butterflyer_jax.api.data import open_data
from butterflyer_jax.data import photo
from butterflyer_jax.inference.classifier import TrainedClassifier
from butterflyer_jax.metrics import outcomes
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.synthetic.scene import draw_background

BATCH = 32


def dark(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo 0.4 times as bright."""
    return ImageEnhance.Brightness(image).enhance(0.4)


def blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo with a Gaussian blur of 2% of its short side."""
    return image.filter(ImageFilter.GaussianBlur(0.02 * min(image.size)))


def pasted(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo at 35% to 50% of the frame's side, somewhere on a drawn background."""
    side = image.width
    small = round(side * rng.uniform(0.35, 0.5))
    frame = draw_background(rng, side, side)
    place = int(rng.integers(0, side - small)), int(rng.integers(0, side - small))
    frame.paste(image.resize((small, small)), place)
    return frame


def reflected(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo at half the frame's side, in the middle of its own reflections."""
    around = image.width // 2
    return Image.fromarray(np.pad(np.asarray(image), ((around, around), (around, around), (0, 0)), mode="reflect"))


def on_a_board(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the round middle of the photo, three quarters of the frame's side wide, on light grey."""
    side, small = image.width, image.width * 3 // 4
    mask, frame = Image.new("L", (small, small)), Image.new("RGB", (side, side), (225, 225, 222))
    ImageDraw.Draw(mask).ellipse((0, 0, small, small), fill=255)
    frame.paste(image.resize((small, small)), ((side - small) // 2,) * 2, mask)
    return frame


def off_centre(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo moved by a quarter of its side to a corner; its reflection fills the gap."""
    side, gap = image.width, image.width // 4
    down, right = (int(x) * 2 * gap for x in rng.integers(0, 2, 2))
    padded = np.pad(np.asarray(image), ((gap, gap), (gap, gap), (0, 0)), mode="reflect")
    return Image.fromarray(padded[down : down + side, right : right + side])


SHIFTS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "as they are": lambda image, rng: image,
    "0.4 times as bright": dark,
    "blurred": blurred,
    "small, on a drawn background": pasted,
    "small, amid reflections": reflected,
    "on a grey board": on_a_board,
    "off centre": off_centre,
}


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/shifts.py", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    run = runs.read(args.run)
    classifier = TrainedClassifier.load(args.run)
    with open_data(run.dataset, run.config) as data:
        labels = data.labels("test")
        squares, others = (
            [ImageOps.fit(one, (min(one.size),) * 2) for one in _photos(data.jpegs(split))] for split in ("test", "val")
        )
    figures: dict[str, dict[str, Any]] = {}
    print(f"{'':<32}{'right':>8}{'95% interval':>18}{'and refused':>13}{'wrong, answered':>17}{'80% or more':>13}")
    first = {name: _alone(change) for name, change in SHIFTS.items()}
    for name, change in {**first, **CHANGES, "three at once": three_at_once}.items():
        rng = np.random.default_rng(0)
        pixels = np.stack(
            [
                photo.central_crop(change(one, rng, others), classifier.crop_fraction, classifier.image_size)
                for one in squares
            ]
        )
        answers = [classifier.classify(pixels[n : n + BATCH]) for n in range(0, len(pixels), BATCH)]
        probabilities, refused = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        found = outcomes.count(probabilities, labels, refused, np.ones(len(labels), bool))
        right = found["right"]["answered"]["count"] + found["right"]["refused"]["count"]
        figures[name] = {
            "count": len(labels),
            "top1": right / len(labels),
            "interval": wilson(right, len(labels)),
            "right_refused": found["right"]["refused"]["share"],
            "wrong_answered": found["wrong"]["answered"]["share"],
            "wrong_sure": found["wrong"]["sure"]["share"],
        }
        _print(name, figures[name])
    for title, names in {
        "mean of the first six changes": [name for name in SHIFTS if name != "as they are"],
        f"mean of the other {len(CHANGES)}, one by one": CHANGES,
    }.items():
        keys = ("top1", "right_refused", "wrong_answered", "wrong_sure")
        figures[title] = {key: float(np.mean([figures[name][key] for name in names])) for key in keys}
        _print(title, figures[title])
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2))


def _alone(change: Callable[[Image.Image, np.random.Generator], Image.Image]) -> Change:
    """Returns a change, which needs no other photos, as a `Change`, which takes some."""
    return lambda image, rng, others: change(image, rng)


def _photos(jpegs: Iterable[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs]


def _print(name: str, row: Mapping[str, Any]) -> None:
    interval = "{:.1%} to {:.1%}".format(*row["interval"]) if "interval" in row else ""
    print(
        f"{name:<32}{row['top1']:>8.1%}{interval:>18}{row['right_refused']:>13.1%}{row['wrong_answered']:>17.1%}"
        f"{row['wrong_sure']:>13.1%}"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    cli.run(main)
