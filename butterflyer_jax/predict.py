"""Names the species on photos: a table on a terminal, one JSON object per line elsewhere.

    butterflyer predict --run DIR IMAGE… [--format table|json|csv] [--top 3] [--flip] [--gradcam FOLDER]
    butterflyer predict --model model.onnx IMAGE…
    ls photos/*.jpg | butterflyer predict --run DIR -

An IMAGE is an image file, a folder, a pattern ('photos/**/*.jpg'), a zip, a URL, or - for names on stdin.
A JSON object has image, species, probability, none_of_these (whether the image is refused), top5 and probabilities; of
an image that cannot be read, image and error. Where genera or families are known it also has answer: the lowest rank
that is sure enough, its name and probability, and the answer in words. With --gradcam it also has gradcam, the path of
the heat map of what spoke for the species.

Of an image the network sees the central square. With --search it looks at some 70 parts, the whole and squares in
grids of four sizes, and answers for the most typical one: for butterflies that are small or not in the middle. An
object then has box: left, top, right and bottom of that part, pixels. It takes the network 70 times as long. The run or
export needs a typicality.
"""

from __future__ import annotations

import csv
import io
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
from butterflyer_jax.inference.ranking import NONE_OF_THESE, TOP
from butterflyer_jax.metrics.ranks import SPECIES, Ranks

NOT_SURE = "not sure"
BOX = ("xmin", "ymin", "xmax", "ymax")


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer predict", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", metavar="DIR", help="run folder, made by butterflyer train")
    which.add_argument("--model", metavar="PATH", help="file or folder, made by butterflyer export")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, 'pattern', zip, URL, or - for stdin")
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), help="output format (default: table on a terminal, else json)"
    )
    parser.add_argument("--top", type=int, default=TOP, metavar="N", help="species ranked per image (default: 5)")
    parser.add_argument("--species", metavar="LIST.txt", help="only these species can occur, one name per line")
    parser.add_argument("--flip", action="store_true", help="average over each image and its mirror image")
    parser.add_argument("--search", action="store_true", help="answer for the most typical of some 70 parts; slow")
    parser.add_argument("--gradcam", metavar="FOLDER", help="folder for heat maps of what spoke for the species")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text: what is none is written as JSON writes it.
        sys.stdout.reconfigure(errors="backslashreplace")
    args = parser().parse_args(argv)
    if args.top < 1:
        raise UserError("--top must be at least 1")
    if args.model and args.gradcam:
        raise UserError("--gradcam: an export has no heat maps, take --run")
    pictures = HeatPictures(args.gradcam) if args.gradcam else None
    # Imported here: JAX takes seconds that `--help` need not spend.
    from butterflyer_jax.export.reader import open_classifier

    predictor = Predictor(open_classifier(args.run, args.model, args.species))
    top = min(args.top, len(predictor.species)) if args.top != TOP else TOP
    match args.format or ("table" if sys.stdout.isatty() else "json"):
        case "table":
            write = _table_writer(predictor.species, predictor.classifier.ranks, top)
        case "csv":
            write = _csv_writer(
                top, predictor.classifier.ranks is not None, args.search, ["gradcam"] if pictures else []
            )
        case _:
            write = _write_json
    start = time.perf_counter()
    count = failed = 0
    for image, answer in _answers(predictor, inputs.pictures(args.images), top, args.flip, args.search, pictures):
        count += 1
        failed += "error" in answer
        write(image, answer)
        if cli.stdout_is_lost() and pictures is None:
            # `predict … | head`: there is nothing more to do.
            sys.exit(1)
    seconds = time.perf_counter() - start
    if not count:
        raise UserError("no names of images on stdin")
    if count > failed:
        images = "image" if count == 1 else "images"
        say(f"{predictor.classifier.name}: {count} {images} in {seconds:.1f} s, {count / seconds:,.1f} images/s")
    if failed:
        print(f"error: {failed} of {count} images could not be read", file=sys.stderr)
        sys.exit(1)


def _answers(
    predictor: Predictor,
    images: Iterable[inputs.Picture],
    top: int,
    flip: bool,
    search: bool,
    pictures: HeatPictures | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the name of each image and its answer, with the path of the picture that was written, if any."""
    asked, read = itertools.tee(images)
    if pictures is None:
        for image, answer in zip(asked, predictor.stream(read, top, flip, search), strict=True):
            yield image.name, answer
        return
    for image, look in zip(asked, predictor.look(read, top, flip, search), strict=True):
        written = {} if "error" in look.answer else {"gradcam": pictures.write(image.name, look.picture())}
        yield image.name, look.answer | written


def _write_json(image: str, answer: dict[str, Any]) -> None:
    print(json.dumps({"image": image, **answer}, ensure_ascii=False), flush=True)


def _table_writer(species: Sequence[str], ranks: Ranks | None, top: int) -> Callable[[str, dict[str, Any]], None]:
    """Prints the header; returns what prints a row as soon as its answer is there."""
    taxa = [f"{rank.name} {taxon}" for rank in ranks.ranks[1:] for taxon in rank.taxa] if ranks else []
    width = max(map(len, (*species, *taxa, NONE_OF_THESE)))
    print(f"{'species':<{width}}  {'prob.':>6}  {'most likely after it':<{width + 8}}  image")

    def write(image: str, answer: dict[str, Any]) -> None:
        # A newline or an escape sequence in a name would write over the table.
        image = _printable(image)
        if "error" in answer:
            reason = _printable(answer["error"])
            # Most reasons name the file themselves.
            shown = reason if image in reason else f"{image}: {reason}"
            print(f"{'not read':<{width}}  {'':>6}  {'':<{width + 8}}  {shown}", flush=True)
            return
        first, *others = answer[f"top{top}"]
        given = answer.get("answer", {"rank": SPECIES})
        named, probability = first["species"], f"{first['probability']:.1%}"
        if answer["none_of_these"] or given["rank"] is None:
            # The probability is the species', not that of there being none.
            named, probability, others = NONE_OF_THESE if answer["none_of_these"] else NOT_SURE, "", [first]
        elif given["rank"] != SPECIES:
            named, probability, others = f"{given['rank']} {given['name']}", f"{given['probability']:.1%}", [first]
        second = f"{others[0]['species']} {others[0]['probability']:.1%}" if others else ""
        part = f"  {answer['box']}" if "box" in answer else ""
        heat_map = f"  {answer['gradcam']}" if "gradcam" in answer else ""
        print(f"{named:<{width}}  {probability:>6}  {second:<{width + 8}}  {image}{part}{heat_map}", flush=True)

    return write


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _csv_writer(top: int, ranked: bool, search: bool, last: Sequence[str]) -> Callable[[str, dict[str, Any]], None]:
    """Prints the header, `last` before the error; returns what prints a line."""
    of_answer = ("rank", "name", "name_probability") if ranked else ()
    of_box = BOX if search else ()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    more = [f"{name}_{place}" for place in range(2, top + 1) for name in ("species", "probability")]
    first = ("image", "species", "probability", "none_of_these", *of_answer, *of_box)
    writer.writerow([*first, *more, *last, "error"])

    def write(image: str, answer: dict[str, Any]) -> None:
        if "error" in answer:
            writer.writerow([image, *[""] * (len(first) - 1 + len(more) + len(last)), answer["error"]])
        else:
            given = [answer["answer"][name] for name in ("rank", "name", "probability")] if ranked else []
            others = [value for of in answer[f"top{top}"][1:] for value in (of["species"], of["probability"])]
            others += [""] * (len(more) - len(others))
            unknown = str(answer["none_of_these"]).lower()
            named = [answer["species"], answer["probability"], unknown]
            writer.writerow(
                [image, *named, *given, *answer.get("box", ()), *others, *(answer[name] for name in last), ""]
            )
        sys.stdout.flush()

    return write


if __name__ == "__main__":
    cli.run(main)
