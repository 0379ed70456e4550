"""Checks species files of the knowledge base, and prints their problems or their counts.

    butterflyer app.knowledge [FOLDER]

A species file has a name such as Danaus_plexippus.yaml; see butterflyer_jax/app/knowledge/species for examples.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from butterflyer_jax import cli, extras


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer app.knowledge", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="species files to check (default: those of the package)"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    extras.require("app", "pydantic", "yaml", purpose="the knowledge base")

    from butterflyer_jax.app.knowledge.base import load
    from butterflyer_jax.app.knowledge.reader import SPECIES_FOLDER, problems

    if found := problems(args.folder or SPECIES_FOLDER):
        print("\n".join(found))
        print(f"error: problems found: {len(found)}", file=sys.stderr)
        sys.exit(1)
    knowledge = load(extra=args.folder)
    count = len(load(args.folder).species)
    print(f"no problems: {count} species checked; {len(knowledge.species)} species, {len(knowledge.passages)} passages")


if __name__ == "__main__":
    cli.run(main)
