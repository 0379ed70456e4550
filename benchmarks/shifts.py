"""Accuracy on a run's own test photos when they are darker, blurred, smaller, off centre, or on other surroundings.

    python benchmarks/shifts.py --run DIR [--json FILE]

Prints top-1 with Wilson's 95% interval for each kind. Backgrounds are those of the drawn butterflies. The changes are
made up: they say what a network can bear, not how it does in the field.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from butterflyer_jax import cli, runs
from butterflyer_jax.api.data import open_data
from butterflyer_jax.data import photo
from butterflyer_jax.inference.classifier import TrainedClassifier
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
        jpegs, labels = data.jpegs("test"), data.labels("test")
    photos = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs]
    squares = [ImageOps.fit(one, (min(one.size),) * 2) for one in photos]
    figures = {}
    for name, shift in SHIFTS.items():
        rng = np.random.default_rng(0)
        pixels = np.stack(
            [photo.central_crop(shift(one, rng), classifier.crop_fraction, classifier.image_size) for one in squares]
        )
        parts = [classifier.probabilities(pixels[n : n + BATCH]) for n in range(0, len(pixels), BATCH)]
        right = int((np.concatenate(parts).argmax(axis=1) == labels).sum())
        low, high = wilson(right, len(labels))
        figures[name] = {"count": len(labels), "top1": right / len(labels), "interval": [low, high]}
        print(f"{name:<30}{right:>5} of {len(labels)}{right / len(labels):>8.1%}   {low:.1%} to {high:.1%}")
    mean = float(np.mean([figure["top1"] for name, figure in figures.items() if name != "as they are"]))
    print(f"{'mean of the six changes':<30}{'':>{8 + len(str(len(labels)))}}{mean:>9.1%}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures | {"mean": mean}, indent=2))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    cli.run(main)
