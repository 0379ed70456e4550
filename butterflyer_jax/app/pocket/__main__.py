"""Writes the application as a static site, which needs no server, and no connection after the first visit.

    butterflyer app.pocket --run runs/first --to site
    python -m http.server --directory site

The browser names the butterflies itself: photos never leave the device. The folder can be served by any host of
static files, or lie in a bucket (--to gs://...). The page can be installed on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence

from butterflyer_jax import cli, extras


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer app.pocket", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder of butterflyer train")
    parser.add_argument("--to", required=True, metavar="DIR", help="folder for the site, local or gs://")
    parser.add_argument("--knowledge", metavar="FOLDER", help="more species files, as in app/knowledge/species")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    extras.require("app", "fastapi", "pydantic", "yaml", purpose="the static site")

    from butterflyer_jax.app.knowledge import base
    from butterflyer_jax.app.pocket import site

    known = base.load(extra=args.knowledge)
    written = site.write(args.run, args.to, known)
    print(
        f"wrote {written.path}, {written.bytes / 1e6:.1f} MB, of these the network {written.model_bytes / 1e6:.2f} MB; "
        f"it differs by at most {written.largest_difference:.1e} on {written.images} {written.of}"
    )


if __name__ == "__main__":
    cli.run(main)
