"""Compares runs on the same photos: accuracy with intervals, and paired tests against the first run.

    butterflyer compare runs/first runs/second … [--name test] [--output compare.html]

Reads eval/<name>/predictions.csv of each run, which `butterflyer evaluate` writes. Prints one table, and writes a page
that has the same by species.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax import cli
from butterflyer_jax.cli import late_function, make_callable

if TYPE_CHECKING:
    from butterflyer_jax.evaluation.comparison import compare as compare

# Species on the console, those that differ most; the page has all.
MAX_SPECIES = 20


__getattr__ = late_function("compare", "butterflyer_jax.evaluation.comparison")


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer compare", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders; the others are compared with the first")
    parser.add_argument(
        "--name", default="test", help="evaluation to compare, a folder in eval/ (default: %(default)s)"
    )
    parser.add_argument("--output", default="compare.html", metavar="FILE", help="page to write (default: %(default)s)")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    # Imported late, as `--help` should answer at once.
    from butterflyer_jax.evaluation.comparison import compare
    from butterflyer_jax.report.findings import counted

    result = compare(args.runs, args.name, args.output)
    left_out = f"; {result['left_out']} of species that not all runs know left out" if result["left_out"] else ""
    print(f"{result['name']}: {counted(result['count'], 'photo', 'photos')}{left_out}")
    for run, number in result["trained_on"].items():
        print(f"{run} was trained on {counted(number, 'photo', 'photos')} of these, or near-duplicates: no fair test")
    species = sorted(
        result["species"].items(), key=lambda item: -max(abs(pair["difference"]) for pair in item[1]["pairs"])
    )
    groups = [("all photos", result), *((f"{name}, {group['count']}", group) for name, group in species[:MAX_SPECIES])]
    width = max(len(text) for text in (*(name for name, _ in groups), *(f"  {row['run']}" for row in result["runs"])))
    print(f"{'':<{width}}  {'top-1':>6}  {'95% interval':>16}  {'points':>6}  {'95% interval':>14}  p (adjusted)")
    for name, group in groups:
        print(name)
        for row, pair in zip(group["runs"], [None, *group["pairs"]], strict=True):
            print(f"  {row['run']:<{width - 2}}  {_row(row, pair)}".rstrip())
    if len(species) > MAX_SPECIES:
        print(f"{len(species) - MAX_SPECIES} more species on the page")
    print(f"page: {result['page']}")


def _row(row: dict[str, Any], pair: dict[str, Any] | None) -> str:
    from butterflyer_jax.report.page import p_value, points

    low, high = row["interval"]
    text = f"{row['top1']:>6.1%}  {f'{low:.1%} to {high:.1%}':>16}"
    if pair is None:
        return text
    low, high = pair["interval"]
    adjusted = f" ({p_value(pair['p_adjusted'])})" if pair["p_adjusted"] != pair["p"] else ""
    difference = f"{points(pair['difference']):>6}  {f'{points(low)} to {points(high)}':>14}"
    return f"{text}  {difference}  {p_value(pair['p'])}{adjusted}"


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
