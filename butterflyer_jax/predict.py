"""Names the species on photographs: a line of JSON, or of CSV, an image.

    butterflyer predict --run DIR IMAGE… [--format csv] [--top 3] [--flip] [--gradcam FOLDER]
    ls photos/*.jpg | butterflyer predict --run DIR -

An IMAGE is a picture file, a folder, a pattern ('photos/**/*.jpg'), a zip, a URL, or - for names on stdin.
A line holds image, species, probability, none_of_these (whether the probability is below the threshold that was chosen
on validation photographs), top5 and probabilities; of a file that is no photograph, image and error. With --gradcam a
line also holds gradcam, the picture of what spoke for the species.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from butterflyer_jax import cli
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.inference import inputs
from butterflyer_jax.inference.overlays import HeatPictures
from butterflyer_jax.inference.predictor import Predictor
from butterflyer_jax.inference.ranking import TOP


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer predict", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, 'pattern', zip, URL, or - for stdin")
    parser.add_argument("--format", default="json", choices=("json", "csv"), help="of the lines (default: json)")
    parser.add_argument("--top", type=int, default=TOP, metavar="N", help="species ranked a line (default: 5)")
    parser.add_argument("--flip", action="store_true", help="mean of the answers to a picture and its mirror image")
    parser.add_argument("--gradcam", metavar="FOLDER", help="write pictures of what spoke for the species there")
    return parser


def main(argv: Sequence[str]) -> None:
    """The command."""
    args = parser().parse_args(argv)
    if args.top < 1:
        raise UserError("--top must be 1 at least")
    pictures = HeatPictures(args.gradcam) if args.gradcam else None
    predictor = Predictor.load(args.run)
    top = min(args.top, len(predictor.species)) if args.top != TOP else TOP
    write = _csv_writer(top, ["gradcam"] if pictures else []) if args.format == "csv" else _write_json
    start = time.perf_counter()
    count = failed = 0
    for image, answer in _answers(predictor, inputs.pictures(args.images), top, args.flip, pictures):
        count += 1
        failed += "error" in answer
        write(image, answer)
    seconds = time.perf_counter() - start
    if not count:
        raise UserError("no pictures on stdin")
    say(f"{count} images in {seconds:.1f} s, {count / seconds:,.1f} images/s")
    if failed:
        print(f"error: {failed} of {count} images could not be read", file=sys.stderr)
        sys.exit(1)


def _answers(
    predictor: Predictor,
    images: Iterable[inputs.Picture],
    top: int,
    flip: bool,
    pictures: HeatPictures | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name of each image and its answer, with the path of the picture that was written, if any."""
    asked, read = itertools.tee(images)
    if pictures is None:
        for image, answer in zip(asked, predictor.stream(read, top, flip), strict=True):
            yield image.name, answer
        return
    for image, look in zip(asked, predictor.look(read, top, flip), strict=True):
        written = {} if "error" in look.answer else {"gradcam": pictures.write(image.name, look.picture())}
        yield image.name, look.answer | written


def _write_json(image: str, answer: dict[str, Any]) -> None:
    print(json.dumps({"image": image, **answer}, ensure_ascii=False), flush=True)


def _csv_writer(top: int, last: Sequence[str]) -> Callable[[str, dict[str, Any]], None]:
    """Prints the header, `last` before the error; returns what prints a line."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("species", "probability")]
    writer.writerow(["image", "species", "probability", "none_of_these", *more, *last, "error"])

    def write(image: str, answer: dict[str, Any]) -> None:
        if "error" in answer:
            writer.writerow([image, *[""] * (3 + len(more) + len(last)), answer["error"]])
        else:
            ranked = [value for of in answer[f"top{top}"][1:] for value in (of["species"], of["probability"])]
            ranked += [""] * (len(more) - len(ranked))
            unknown = str(answer["none_of_these"]).lower()
            named = [answer["species"], answer["probability"], unknown]
            writer.writerow([image, *named, *ranked, *(answer[name] for name in last), ""])
        sys.stdout.flush()

    return write


if __name__ == "__main__":
    cli.run(main)
