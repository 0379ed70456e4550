"""Draws a raw zip with images of invented butterflies, to try the pipeline without real data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from butterflyer_jax import cli
from butterflyer_jax.console import status
from butterflyer_jax.distributed import memory
from butterflyer_jax.errors import UserError
from butterflyer_jax.synthetic import SPECIES, write_contact_sheet, write_zip


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer synthetic", description=__doc__)
    parser.add_argument("--output", required=True, type=Path, metavar="ZIP", help="the zip to write")
    parser.add_argument(
        "--species", type=int, default=0, metavar="N", help="draw N random species, not the eight that have names"
    )
    parser.add_argument("--photos", type=int, default=80, metavar="M", help="of each species; default: %(default)s")
    parser.add_argument("--long_side", type=int, default=320, metavar="PIXELS", help="of a photo; default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another seed, other photos; default: %(default)s"
    )
    parser.add_argument("--contact_sheet", type=Path, metavar="PICTURE", help="also write an overview, .png or .jpg")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    start = time.perf_counter()
    memory.keep_all()
    try:
        if args.contact_sheet:
            write_contact_sheet(args.contact_sheet, seed=args.seed)
        with status("drawing photos"):
            path = write_zip(args.output, args.photos, args.seed, args.long_side, args.species)
    except OSError as error:
        where = f"cannot write {error.filename}" if error.filename else "cannot write"
        raise UserError(f"{where}: {error.strerror or error}") from error
    num_species = args.species or len(SPECIES)
    photos, megabytes = num_species * args.photos, path.stat().st_size / 1e6
    seconds = time.perf_counter() - start
    print(f"wrote {path}: {photos} photos, {num_species} species, {megabytes:.1f} MB, {seconds:.0f} s")


if __name__ == "__main__":
    cli.run(main)
