"""What a run's answers are worth away from its own test photos: refusal by kind of image, and other photos.

    python benchmarks/field.py --run DIR [--other SRC --species_map TABLE.csv] [--json FILE]

Prints, of a run whose typicality is fitted: accuracy and false refusals on its own test photos, as they are and half
as bright; and the share that is refused of images that show none of its species, with the AUROC of the score. The kinds
are crops of pictures that scikit-image carries (natural scenes, textures, text), corners of val and test photos, and
noise and blank images. With --other, photos of another data set: named rightly where the run knows the species, refused
where it does not.

Measured on configs/cpu.py on the Leeds Butterfly data set (582 train, 125 test photos), one run each with seed 0 on two
cores of an AMD EPYC, jax 0.10.2. Refused, with the AUROC of the score, and by the highest probability alone:

    own test top-1 96.0%, 91.0 to 98.3%
    own test photos                 6.4%                     3.2%
    the same, half as bright        4.0%                     8.0%
    natural and texture, 120       95.0%   98.3%            25.8%   88.5%
    background, 500                94.2%   98.1%            39.6%   87.5%
    noise and blank, 100          100.0%  100.0%            22.0%   89.8%

    with data.negatives=0.2: own test top-1 96.8%, 92.1 to 98.7%
    own test photos                 8.0%                     9.6%
    the same, half as bright       10.4%                    34.4%
    natural and texture, 120       97.5%   98.7%            95.8%   97.4%
    background, 500                98.8%   99.1%            97.6%   98.9%
    noise and blank, 100          100.0%  100.0%           100.0%  100.0%

Heliconius collection, museum photos: 28.9% (25.9 to 32.0%) of 859 H. erato, one of the ten species, are named rightly;
74.1% of 845 photos of another species of the genus are refused, by the probability alone 34.6%. With two of the ten
species left out of training, 41.6% of their 137 photos are refused, by the probability alone 24.1%.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from butterflyer_jax import cli, runs
from butterflyer_jax.api.data import open_data
from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation.evaluate import evaluate
from butterflyer_jax.inference.classifier import TrainedClassifier
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.models.features import make_features

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
CROPS = 12
NOISE = 100


def natural(rng: np.random.Generator) -> list[Image.Image]:
    """Returns square crops of the pictures that scikit-image carries."""
    try:
        import skimage.data
    except ImportError as error:
        raise UserError("this benchmark needs scikit-image: uv pip install scikit-image") from error
    crops = []
    for name in PICTURES:
        picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        for _ in range(CROPS):
            side = int(min(picture.size) * rng.uniform(0.4, 1))
            left = int(rng.integers(0, picture.width - side + 1))
            top = int(rng.integers(0, picture.height - side + 1))
            crops.append(picture.crop((left, top, left + side, top + side)))
    return crops


def corners(photos: Sequence[Image.Image], rng: np.random.Generator) -> list[Image.Image]:
    """Returns a corner of each photo, a third of its short side wide: background, as a rule."""
    cut = []
    for one in photos:
        side = max(8, int(min(one.size) * 0.33))
        left, top = (0, one.width - side)[int(rng.integers(2))], (0, one.height - side)[int(rng.integers(2))]
        cut.append(one.crop((left, top, left + side, top + side)))
    return cut


def noise(rng: np.random.Generator) -> list[Image.Image]:
    """Returns noise and blank images, half of each."""
    noisy = [rng.integers(0, 256, (160, 160, 3), np.uint8) for _ in range(NOISE // 2)]
    blank = [np.full((160, 160, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(NOISE // 2)]
    return [Image.fromarray(pixels) for pixels in (*noisy, *blank)]


def auroc(typical: np.ndarray, others: np.ndarray) -> float:
    """Returns the probability that another image has a larger score than a typical one."""
    return float((others[:, None] > typical).mean() + 0.5 * (others[:, None] == typical).mean())


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/field.py", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder")
    parser.add_argument("--other", metavar="SRC", help="other photos: a raw zip, a folder or a built data set")
    parser.add_argument("--species_map", metavar="FILE.csv", help="species of --other and the run's names of them")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    own = evaluate(args.run)
    loaded = runs.load_model(runs.read(args.run))
    typicality = loaded.typicality()
    if typicality is None:
        raise UserError(f"{args.run} has no typicality: it needs 20 val photos, and refusal.typicality=true")
    classifier, of_batch, config = (
        TrainedClassifier.load(args.run),
        make_features(loaded.model, loaded.config),
        loaded.config,
    )
    rng = np.random.default_rng(0)
    with open_data(loaded.run.dataset, config) as data:
        val, test = (
            [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in data.jpegs(split)] for split in ("val", "test")
        )

    def scores(images: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        crop, side = config.data.eval_crop_fraction, config.data.image_size
        pixels = np.stack([photo.central_crop(one.convert("RGB"), crop, side) for one in images])
        answers = [of_batch(loaded.variables, pixels[n : n + 50]) for n in range(0, len(pixels), 50)]
        logits, features = (np.concatenate(x) for x in zip(*answers, strict=True))
        highest = np.concatenate(
            [classifier.probabilities(pixels[n : n + 32]).max(axis=1) for n in range(0, len(pixels), 32)]
        )
        return typicality.score(features, logits), highest

    kinds = {
        "own test photos": test,
        "the same, half as bright": [ImageEnhance.Brightness(one).enhance(0.5) for one in test],
        "natural and texture": natural(rng),
        # Not of training photos: corners of these are among the negatives that typicality is fitted on.
        "background": corners([*val, *test] * 2, rng),
        "noise and blank": noise(rng),
    }
    typical, sure = scores(test)
    figures: dict[str, Any] = {"own": {name: own[name] for name in ("count", "top1", "intervals")}, "kinds": {}}
    print(f"{'images':<28}{'count':>6}{'refused':>9}{'95%':>16}{'AUROC':>8}{'by probability':>16}{'AUROC':>8}")
    for name, images in kinds.items():
        score, highest = scores(images)
        refused, by_probability = int((score > typicality.limit).sum()), float((highest < classifier.threshold).mean())
        low, high = wilson(refused, len(images))
        row = {
            "count": len(images),
            "refused": refused / len(images),
            "auroc": auroc(typical, score),
            "refused_by_probability": by_probability,
            "auroc_by_probability": auroc(-sure, -highest),
        }
        figures["kinds"][name] = row
        print(
            f"{name:<28}{len(images):>6}{row['refused']:>9.1%}{f'{low:.0%} to {high:.0%}':>16}{row['auroc']:>8.1%}"
            f"{by_probability:>16.1%}{row['auroc_by_probability']:>8.1%}"
        )
    if args.other:
        other = evaluate(args.run, dataset=args.other, species_table=args.species_map, name="other")
        figures["other"] = {name: other.get(name) for name in ("count", "top1", "intervals", "refusal")}
        unknown = other["refusal"]["unknown"]
        share = unknown["refused"] / unknown["count"] if unknown["count"] else 0.0
        print(
            f"other photos: top-1 {other.get('top1', 0):.1%} of {other['count']} of known species; "
            f"refused {share:.1%} of {unknown['count']} of unknown species"
        )
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    cli.run(main)
