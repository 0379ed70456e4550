"""Finds labels that are probably wrong: a page with pictures, and a table to correct.

    butterflyer audit --run DIR [--input SRC] [--accept 0.9]

Every photo of the data set is judged by a classifier that has not seen it, on features of the run's network. The table
lists all photos with their labels, the most doubtful first. Correct its column label, and train on the same photos
with --config.build.layout=table and --config.build.table, its absolute path. No label is changed without --accept. Any
field of build, such as --config.build.layout=leaf, says how the photos of --input are read.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from butterflyer_jax import cli
from butterflyer_jax.cli import late_function, make_callable

if TYPE_CHECKING:
    from butterflyer_jax.evaluation.audit import audit as audit


__getattr__ = late_function("audit", "butterflyer_jax.evaluation.audit")


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer audit", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer train")
    parser.add_argument(
        "--input", metavar="SRC", help="raw zip, folder or built data set of other photos; or the run's own, moved"
    )
    parser.add_argument("--name", metavar="NAME", help="folder of the audit in audit/ (default: all, or the data set)")
    parser.add_argument("--to", metavar="DIR", help="folder for all results, where the run may only be read")
    parser.add_argument(
        "--accept",
        type=cli.number,
        metavar="P",
        help="put the proposed species into the column label where its probability is at least P",
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args, rest = parser().parse_known_args(argv)
    build = cli.build_options(cli.split_overrides(rest))
    # Imported late, as `--help` should answer at once.
    from butterflyer_jax.evaluation.audit import audit

    found = audit(args.run, args.input, args.name, args.accept, args.to, build)
    print(
        f"{found['name']}: {found['suspects']} of {found['count']} labels in doubt; the answers agree with "
        f"{found['accuracy']:.1%} of the labels"
    )
    if found["not_judged"]:
        print(f"{found['name']}: {found['not_judged']} photos not judged, the only group of their species")
    if args.accept is not None:
        print(f"{found['name']}: {found['accepted']} labels replaced in the table, --accept {args.accept:g}")
    print(f"report: {found['report']}")
    print(f"table: {found['table']}")
    if found["suspects"]:
        print("next: correct its column label, and train on the same photos with")
        print(f"      --config.build.layout=table {shlex.quote('--config.build.table=' + found['table'])}")


make_callable(__name__)

if __name__ == "__main__":
    cli.run(main)
