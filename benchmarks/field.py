"""What answers are worth away from a run's own test photos: refusal by kind of image, other photos, other species.

    python benchmarks/field.py --run DIR... [--left_out DIR... --input SRC] [--other SRC --species_map TABLE.csv]

Prints, of runs whose typicality is fitted, such as the same config with several seeds: accuracy and false refusals on
their own test photos, as they are, half as bright, and small on a drawn ground; and the share that is refused of images
that show none of their species, with the AUROC of the score. The kinds are crops of pictures that scikit-image and
scikit-learn carry (scenes, textures, text), corners of val and test photos, and noise and blank images. Figures are
means over the runs, with the smallest and the largest; of one run, with Wilson's 95% interval.

With --left_out, runs that were trained without some species of --input (build.ignore='*/Monarch/*'), and how many of
the photos of these are refused. With --other, photos of another data set: named rightly where a run knows the species,
refused where it does not.

configs/cpu.py on the Leeds Butterfly data set, seeds 0 to 2: own test photos 3.2% refused, half as bright 6.9%, scenes
and textures 98.2%, text 100%, background 97.9%, noise and blank 100%; of two species left out, three pairs, 40.7%. See
docs/guides/field-photographs.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from shifts import pasted

from butterflyer_jax import cli, runs
from butterflyer_jax.api.data import open_data
from butterflyer_jax.data import photo
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation.evaluate import evaluate
from butterflyer_jax.inference.classifier import TrainedClassifier
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.models.features import make_features

SCENES = ("astronaut", "coffee", "chelsea", "rocket", "brick", "grass", "gravel", "immunohistochemistry", "coins")
TEXT = ("page", "text")
CROPS = 12
NOISE = 100


def crops(rng: np.random.Generator) -> tuple[list[Image.Image], list[Image.Image]]:
    """Returns square crops of the pictures that scikit-image and scikit-learn carry: scenes and textures, and text."""
    try:
        import skimage.data
        from sklearn.datasets import load_sample_images
    except ImportError as error:
        raise UserError("this benchmark needs uv pip install scikit-image scikit-learn") from error
    kinds: tuple[list[Image.Image], ...] = ([], [])
    for kind, names, more in ((kinds[0], SCENES, load_sample_images().images), (kinds[1], TEXT, [])):
        for pixels in (*(getattr(skimage.data, name)() for name in names), *more):
            picture = Image.fromarray(pixels).convert("RGB")
            for _ in range(CROPS):
                side = int(min(picture.size) * rng.uniform(0.4, 1))
                left = int(rng.integers(0, picture.width - side + 1))
                top = int(rng.integers(0, picture.height - side + 1))
                kind.append(picture.crop((left, top, left + side, top + side)))
    return kinds[0], kinds[1]


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


def measure(folder: str) -> dict[str, Any]:
    """Returns the figures of a run: its own test, and each kind of image."""
    own = evaluate(folder)
    loaded = runs.load_model(runs.read(folder))
    typicality, config = loaded.typicality(), loaded.config
    if typicality is None:
        raise UserError(f"{folder} has no typicality: it needs 20 val photos, and refusal.typicality=true")
    classifier, of_batch = TrainedClassifier.load(folder), make_features(loaded.model, config)
    with open_data(loaded.run.dataset, config) as data:
        val, test = (
            [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in data.jpegs(split)] for split in ("val", "test")
        )

    def scores(images: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        crop, side = config.data.eval_crop_fraction, config.data.image_size
        pixels = np.stack([photo.central_crop(one.convert("RGB"), crop, side) for one in images])
        answers = [of_batch(loaded.variables, pixels[n : n + 50]) for n in range(0, len(pixels), 50)]
        logits, features, _ = (np.concatenate(x) for x in zip(*answers, strict=True))
        highest = np.concatenate(
            [classifier.probabilities(pixels[n : n + 32]).max(axis=1) for n in range(0, len(pixels), 32)]
        )
        return typicality.score(features, logits), highest

    rng = np.random.default_rng(0)
    scenes, text = crops(rng)
    squares = [ImageOps.fit(one, (min(one.size),) * 2) for one in test]
    kinds = {
        "own test photos": test,
        "the same, half as bright": [ImageEnhance.Brightness(one).enhance(0.5) for one in test],
        "the same, small": [pasted(one, rng) for one in squares],
        "scenes and textures": scenes,
        # Not of training photos: corners of these are among the negatives that typicality is fitted on.
        "background": corners([*val, *test] * 2, rng),
        "text": text,
        "noise and blank": noise(rng),
    }
    typical, sure = scores(test)
    found: dict[str, Any] = {"top1": own["top1"], "kinds": {}}
    for name, images in kinds.items():
        score, highest = scores(images)
        found["kinds"][name] = {
            "count": len(images),
            "refused": float((score > typicality.limit).mean()),
            "auroc": auroc(typical, score),
            "refused_by_probability": float((highest < classifier.threshold).mean()),
            "auroc_by_probability": auroc(-sure, -highest),
        }
    return found


def unknown_refused(folder: str, source: str, species_map: str | None, name: str) -> dict[str, Any]:
    """Returns the answers of a run for other photos: top1 of known species, and refused ones of unknown species."""
    other = evaluate(folder, dataset=source, species_table=species_map, name=name)
    unknown = other["refusal"]["unknown"]
    if not unknown["count"]:
        raise UserError(f"{folder} knows all species of {source}")
    return {"top1": other.get("top1"), "count": unknown["count"], "refused": unknown["refused"] / unknown["count"]}


def spread(shares: Sequence[float], count: int) -> str:
    """Returns a mean, and Wilson's interval of one run or the range over several."""
    mean = float(np.mean(shares))
    low, high = wilson(round(mean * count), count) if len(shares) == 1 else (min(shares), max(shares))
    return f"{mean:>7.1%}{f'{low:.1%} to {high:.1%}':>18}"


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python benchmarks/field.py", description=__doc__)
    parser.add_argument(
        "--run", required=True, nargs="+", metavar="DIR", help="run folders, as a rule of several seeds"
    )
    parser.add_argument("--left_out", nargs="+", default=(), metavar="DIR", help="runs without some species of --input")
    parser.add_argument("--input", metavar="SRC", help="photos of all species: a raw zip, a folder or a built data set")
    parser.add_argument("--other", metavar="SRC", help="other photos: a raw zip, a folder or a built data set")
    parser.add_argument("--species_map", metavar="FILE.csv", help="species of --other and the run's names of them")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(argv)
    if bool(args.left_out) != bool(args.input):
        raise UserError("--left_out and --input go together: the runs, and the photos with all species")
    figures: dict[str, Any] = {"runs": [measure(folder) for folder in args.run]}
    print(f"{'images':<28}{'count':>6}{'refused':>9}{'':>16}{'AUROC':>8}{'by probability':>16}{'AUROC':>8}")
    for name, first in figures["runs"][0]["kinds"].items():
        rows = [of_run["kinds"][name] for of_run in figures["runs"]]
        refused = spread([row["refused"] for row in rows], first["count"])
        means = {key: float(np.mean([row[key] for row in rows])) for key in first}
        print(
            f"{name:<28}{first['count']:>6}{refused}{means['auroc']:>8.1%}"
            f"{means['refused_by_probability']:>16.1%}{means['auroc_by_probability']:>8.1%}"
        )
    own = [of_run["top1"] for of_run in figures["runs"]]
    print(f"top-1 of own test photos {spread(own, figures['runs'][0]['kinds']['own test photos']['count']).strip()}")
    if args.left_out:
        left = [unknown_refused(folder, args.input, None, "left_out") for folder in args.left_out]
        for folder, row in zip(args.left_out, left, strict=True):
            refusal = evaluate(folder)["refusal"]["known"]
            row["own_refused"] = refusal["refused"] / refusal["count"]
            print(
                f"left out of {folder}: {spread([row['refused']], row['count']).strip()} of {row['count']} refused, "
                f"of own test photos {row['own_refused']:.1%}"
            )
        mean, own_mean = (float(np.mean([row[key] for row in left])) for key in ("refused", "own_refused"))
        print(f"left out, mean of {len(left)} runs: {mean:.1%} refused, of own test photos {own_mean:.1%}")
        figures["left_out"] = left
    if args.other:
        figures["other"] = other = [unknown_refused(run, args.other, args.species_map, "other") for run in args.run]
        right = spread([row["top1"] for row in other], 1) if other[0]["top1"] is not None else "none"
        refused = spread([row["refused"] for row in other], other[0]["count"])
        print(f"other photos: top-1 of known species {right.strip()}; of unknown ones refused {refused.strip()}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    cli.run(main)
