"""Refits the last layer of a run on photos that it named wrongly, and writes a run of its own if you say yes.

    butterflyer correct --run DIR --input photos/ --output DIR

The photos come with their right species: a zip, a folder or a built data set, such as a folder with the labels.csv of
`butterflyer app.feedback`; any field of build, such as --config.build.layout=leaf, says how they are read. Everything
below the last layer stays as it is, so it takes seconds, and fewer the next time: what the last layer sees of the run's
photos is kept in the cache folder. Both layers are judged on the run's own val and test photos, which teach neither;
the run itself is not changed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from butterflyer_jax import cli
from butterflyer_jax.cli import make_callable
from butterflyer_jax.errors import UserError


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer correct", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, which stays as it is")
    parser.add_argument("--input", required=True, metavar="SRC", help="corrected photos: zip, folder or built data set")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the corrected run")
    parser.add_argument(
        "--species_map", metavar="FILE.csv", help="two columns: a species of --input, the run's name of it or nothing"
    )
    parser.add_argument("--yes", action="store_true", help="write the corrected run without asking")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    build = cli.build_options(cli.split_overrides(rest))
    # Imported late, as `--help` should answer at once.
    from butterflyer_jax import runs
    from butterflyer_jax.distributed import compile_cache
    from butterflyer_jax.evaluation import correction
    from butterflyer_jax.report.findings import counted

    correction.refuse_occupied(args.output)
    compile_cache.keep_for(runs.read(args.run).config)
    found = correction.fit(args.run, args.input, args.species_map, build)
    for reason, count in found.left_out.items():
        print(f"left out: {count} photos {reason}")
    if found.replaced:
        replaced = counted(found.replaced, "training photo is", "training photos are")
        print(f"{replaced} among the corrections, whose labels count instead")
    if len(found.species) == 1:
        print(
            f"all corrections are of {found.species[0]}: the layer may learn what these photos have in common rather "
            "than the butterfly, and give that name to other species in photos of the same kind; add corrections of "
            "other species, and evaluate the run on such photos of species that it does not know"
        )
    width = max(len(row.photos) for row in found.rows)
    print(f"{'named rightly':<{width}}  {'photos':>6}  {'before':>6}  {'after':>6}")
    for row in found.rows:
        after = "-" if row.after is None else f"{row.after:.1%}"
        print(f"{row.photos:<{width}}  {row.count:>6}  {row.before:>6.1%}  {after:>6}")
    if not args.yes and not _says_yes(f"Write the corrected run to {args.output}? [y/N] "):
        raise UserError("nothing is written: look at the table, and add --yes")
    print(f"run: {found.take(args.output)}")
    print(f"next: butterflyer evaluate --run {shlex.quote(args.output)}")


def _says_yes(question: str) -> bool:
    """Asks at a terminal; elsewhere, and at the end of its input, the answer is no."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
