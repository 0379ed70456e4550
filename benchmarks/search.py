"""What `predict --search` gains where a butterfly is small, and what it costs where there is none.

    python benchmarks/search.py --run DIR [--json FILE]

Prints, with and without the search, how many images are named rightly and not refused, how many are refused, and images
per second. The kinds are the run's test photos in their full frame; the same as a third of the width of a frame, on
drawn grounds and on pictures that scikit-image carries; and these grounds and pictures alone, which should be refused.

Measured on the 125 test photos of Leeds (one run of configs/cpu.py), without and with the search: named rightly in full
frame 94.4% and 94.4%, a third as wide on other pictures 14.4% and 44.8%; refused of other pictures alone 100% and
99.2%. The network works 70 times as long: 2 to 3 photos/s instead of 120, on two busy cores.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from butterflyer_jax import cli, runs
from butterflyer_jax.api.data import open_data
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference.predictor import Predictor
from butterflyer_jax.synthetic.scene import draw_background

FRAME = 600, 400
# Of scikit-image: scenes, textures and a page, without a butterfly.
PICTURES = (
    "astronaut",
    "coffee",
    "chelsea",
    "rocket",
    "brick",
    "grass",
    "gravel",
    "immunohistochemistry",
    "page",
    "coins",
)


def scenes(count: int, rng: np.random.Generator) -> list[Image.Image]:
    """Returns wide parts of the pictures that scikit-image carries, scaled to the frame."""
    try:
        import skimage.data
    except ImportError as error:
        raise UserError("this benchmark needs scikit-image: uv pip install scikit-image") from error
    found = []
    for number in range(count):
        picture = Image.fromarray(getattr(skimage.data, PICTURES[number % len(PICTURES)])()).convert("RGB")
        width = int(min(picture.width, 1.5 * picture.height) * rng.uniform(0.6, 1))
        height = width * FRAME[1] // FRAME[0]
        left = int(rng.integers(0, picture.width - width + 1))
        top = int(rng.integers(0, picture.height - height + 1))
        found.append(picture.crop((left, top, left + width, top + height)).resize(FRAME))
    return found


def pasted(photos: Sequence[Image.Image], frames: Sequence[Image.Image], rng: np.random.Generator) -> list[Image.Image]:
    """Returns frames with the middle of a photo in each, a third as wide, at any place."""
    side = FRAME[0] // 3
    found = []
    for photo, frame in zip(photos, frames, strict=True):
        copy = frame.copy()
        place = int(rng.integers(0, FRAME[0] - side + 1)), int(rng.integers(0, FRAME[1] - side + 1))
        copy.paste(ImageOps.fit(photo, (side, side)), place)
        found.append(copy)
    return found


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/search.py", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    run = runs.read(args.run)
    predictor = Predictor.load(args.run)
    with open_data(run.dataset, run.config) as data:
        photos = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in data.jpegs("test")]
        names = [run.species[label] for label in data.labels("test")]
    rng = np.random.default_rng(0)
    drawn = [draw_background(rng, *FRAME) for _ in photos]
    natural = scenes(len(photos), rng)
    kinds: dict[str, tuple[list[Image.Image], list[str] | None]] = {
        "test photos, full frame": (photos, names),
        "a third as wide, on drawn ground": (pasted(photos, drawn, rng), names),
        "a third as wide, on other pictures": (pasted(photos, natural, rng), names),
        "drawn ground alone": (drawn, None),
        "other pictures alone": (natural, None),
    }
    figures: dict[str, Any] = {}
    print(f"{'images':<38}{'count':>6}{'search':>8}{'named rightly':>15}{'refused':>9}{'images/s':>10}")
    for kind, (images, wanted) in kinds.items():
        for search in (False, True):
            start = time.perf_counter()
            answers = predictor.predict(images, search=search)
            speed = len(images) / (time.perf_counter() - start)
            refused = float(np.mean([answer["none_of_these"] for answer in answers]))
            right = None
            if wanted is not None:
                pairs = zip(answers, wanted, strict=True)
                right = float(np.mean([not a["none_of_these"] and a["species"] == name for a, name in pairs]))
            figures[f"{kind}, {'search' if search else 'middle'}"] = {
                "count": len(images),
                "named_rightly": right,
                "refused": refused,
                "images_per_second": speed,
            }
            shown = "" if right is None else f"{right:.1%}"
            print(f"{kind:<38}{len(images):>6}{'yes' if search else 'no':>8}{shown:>15}{refused:>9.1%}{speed:>10.1f}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    cli.run(main)
