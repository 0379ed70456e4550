"""Checks species files of the knowledge base, and prints their problems or how much they hold.

    python -m butterflyer_jax.app.knowledge [FOLDER]

A species file is named such as Danaus_plexippus.yaml; those in butterflyer_jax/app/knowledge/species are examples.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from butterflyer_jax import cli


def main(argv: Sequence[str]) -> None:
    """The command."""
    parser = cli.ArgumentParser(prog="python -m butterflyer_jax.app.knowledge", description=__doc__)
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="species files to check (default: ours)")
    args = parser.parse_args(argv)
    cli.require_packages("app", ("pydantic", "yaml"))

    from butterflyer_jax.app.knowledge.base import load
    from butterflyer_jax.app.knowledge.schema import SPECIES_FOLDER, problems

    if found := problems(args.folder or SPECIES_FOLDER):
        print("\n".join(found))
        print(f"error: problems found: {len(found)}", file=sys.stderr)
        sys.exit(1)
    knowledge = load(extra=args.folder)
    count = len(load(args.folder).species)
    print(f"no problems: {count} species checked; {len(knowledge.species)} species, {len(knowledge.passages)} passages")


if __name__ == "__main__":
    cli.run(main)
