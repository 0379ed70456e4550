"""Evaluates a run's best checkpoint on its own photos or on any others; every photo counts once.

    butterflyer evaluate --run DIR [--split test] [--slices FILE.csv --by camera season]
    butterflyer evaluate --run DIR --input field.zip [--species_map table.csv] [--name field]
    butterflyer evaluate --run DIR --input photos/ --labels table.csv [--config.build.label_column=species]

Photos of species that the run does not know count as refused or not; every evaluation has a folder of its own. With
--slices every number is also given by the values of columns of a CSV that names photos in a column filename or
photo_id, as a label file does. --labels labels the photos of a zip or a folder by a table from elsewhere, as if it lay
among them: the same as --config.build.layout=table --config.build.table=FILE; any field of build can be given so.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.cli import make_callable

if TYPE_CHECKING:
    from butterflyer_jax.evaluation.evaluate import evaluate as evaluate


_SPECIES = {"known": "species that the run knows", "unknown": "species that the run does not know"}
_LISTED = {"known": "listed species", "unknown": "species that are not listed"}


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        return _make_evaluate()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _make_evaluate() -> Callable[..., dict[str, Any]]:
    """Returns the function of evaluation, which lives with its other code, followed by the cards of exports."""
    # Imported late, as `--help` should answer at once.
    from butterflyer_jax import runs
    from butterflyer_jax.evaluation.evaluate import evaluate
    from butterflyer_jax.export import card

    @functools.wraps(evaluate)
    def evaluate_and_refresh(run_folder: str | os.PathLike[str], *args: Any, **options: Any) -> dict[str, Any]:
        metrics = evaluate(run_folder, *args, **options)
        card.refresh(runs.read(run_folder))
        return metrics

    return evaluate_and_refresh


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    from butterflyer_jax.data.ingest.split import SPLITS

    parser = cli.ArgumentParser(prog="butterflyer evaluate", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer train")
    parser.add_argument(
        "--split", choices=(*SPLITS, "all"), help="which photos (default: test of the run's own, all of others)"
    )
    parser.add_argument(
        "--input", metavar="SRC", help="raw zip, folder or built data set of other photos; or the run's own, moved"
    )
    parser.add_argument("--labels", metavar="TABLE", help="table (csv, xlsx, json …) that labels the photos of --input")
    parser.add_argument("--name", metavar="NAME", help="folder of the evaluation in eval/ (default: split or data set)")
    parser.add_argument("--to", metavar="DIR", help="folder for all results, where the run may only be read")
    parser.add_argument(
        "--species_map",
        metavar="FILE.csv",
        help="two columns: a species of --input, the run's name of it or nothing",
    )
    parser.add_argument("--species", metavar="LIST.txt", help="only these species can occur, one name per line")
    parser.add_argument("--slices", metavar="FILE.csv", help="table with further columns about the photos")
    parser.add_argument("--by", nargs="+", default=(), metavar="COLUMN", help="columns of it to give the numbers by")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    build = cli.build_options(cli.split_overrides(rest))
    from butterflyer_jax import runs
    from butterflyer_jax.distributed import compile_cache

    compile_cache.keep_for(runs.read(args.run).config)
    metrics = _make_evaluate()(
        args.run,
        args.split,
        args.input,
        args.slices,
        args.by,
        args.name,
        args.species_map,
        args.to,
        args.species,
        args.labels,
        build,
    )
    _print(metrics)


def _print(metrics: dict[str, Any]) -> None:
    from butterflyer_jax.report import left_out
    from butterflyer_jax.report.findings import counted

    name = metrics["name"]
    if metrics["count"]:
        low, high = metrics["intervals"]["top1"]
        photos = counted(metrics["count"], "photo", "photos")
        print(
            f"{name}: top1 {metrics['top1']:.1%} ({low:.1%} to {high:.1%})  top5 {metrics['top5']:.1%}  "
            f"balanced {metrics['balanced_accuracy']:.1%}  loss {metrics['loss']:.3f}  "
            f"({photos}, checkpoint of step {metrics['step']})"
        )
    for which in ("known", "unknown"):
        if total := metrics["refusal"][which]["count"]:
            species = (_LISTED if metrics["species_list"] else _SPECIES)[which]
            print(f"{name}: {counted(total, 'photo', 'photos')} of {species}:")
            _print_answers(which, metrics, total)
    if found := metrics["refusal"].get("left_out"):
        print(f"{name}: {left_out.verdict(found)}")
    if metrics["boxes"]:
        print(f"{name}: {metrics['boxes']} photos are looked at around their box, which predict does not know")
    seen = metrics["trained_on"]
    if seen and (seen["same"] or seen["near"]):
        print(f"{name}: the run was trained on {seen['same']} of these photos, and near-duplicates of {seen['near']}")
    if seen is None and not metrics["is_own"]:
        print(
            f"{name}: how many of these photos the run was trained on is not known, as its own data set cannot be read"
        )
    for column, values in metrics.get("slices", {}).items():
        print(f"{column}:")
        for value, of_it in values.items():
            low, high = of_it["intervals"]["top1"]
            print(f"  {value}: top1 {of_it['top1']:.1%} ({low:.1%} to {high:.1%}) of {of_it['count']}")
    print(f"report: {metrics['report']}")


def _print_answers(which: str, metrics: dict[str, Any], total: int) -> None:
    from butterflyer_jax.metrics import outcomes
    from butterflyer_jax.metrics.classification import wilson

    for answer, count, detail in outcomes.of_answers(metrics, which):
        low, high = wilson(count, total)
        share = f"{count / total:.1%}"
        print(f"  {answer:<8} {count:>6,} {share:>6} ({low:.1%} to {high:.1%}){detail and f', {detail}'}")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
