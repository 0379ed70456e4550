"""Evaluates a run's best checkpoint on a split; every photograph counts once.

    butterflyer evaluate --run DIR [--split test] [--slices FILE.csv --by camera season]

With --slices every number is also given by the values of columns of a CSV that names photographs in a column filename
or photo_id, as a label file does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.cli import make_callable

if TYPE_CHECKING:
    from butterflyer_jax.evaluation.evaluate import evaluate as evaluate


def __getattr__(name: str) -> Any:
    # The function lives with the other code of evaluation; imported late, as `--help` should answer at once.
    if name == "evaluate":
        from butterflyer_jax.evaluation.evaluate import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    from butterflyer_jax.data.ingest.split import SPLITS

    parser = cli.ArgumentParser(prog="butterflyer evaluate", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer_jax.train")
    parser.add_argument("--split", default="test", choices=SPLITS, help="which photographs (default: test)")
    parser.add_argument("--input", metavar="DIR", help="built data set, if not the one that the run was trained on")
    parser.add_argument("--slices", metavar="FILE.csv", help="what else is known of the photographs, local or gs://")
    parser.add_argument("--by", nargs="+", default=(), metavar="COLUMN", help="of it, to give the numbers by")
    return parser


def main(argv: Sequence[str]) -> None:
    """The command."""
    from butterflyer_jax.evaluation.evaluate import evaluate

    args = parser().parse_args(argv)
    metrics = evaluate(args.run, args.split, args.input, args.slices, args.by)
    print(
        f"{metrics['split']}: top1 {metrics['top1']:.1%}  top5 {metrics['top5']:.1%}  "
        f"balanced {metrics['balanced_accuracy']:.1%}  loss {metrics['loss']:.3f}  "
        f"({metrics['count']} photographs, checkpoint of step {metrics['step']})"
    )
    for column, values in metrics.get("slices", {}).items():
        print(f"{column}:")
        for value, of_it in values.items():
            low, high = of_it["intervals"]["top1"]
            print(f"  {value}: top1 {of_it['top1']:.1%} ({low:.1%} to {high:.1%}) of {of_it['count']}")
    print(f"report: {args.run.rstrip('/')}/report/index.html")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
