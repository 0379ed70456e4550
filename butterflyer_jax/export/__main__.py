"""Writes a run's best checkpoint for another runtime, and compares what that answers.

    butterflyer export --run DIR --format onnx|litert|… [--to PATH]

Beside the model lie its species, one per line, and a card as JSON and Markdown, with the code that reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from butterflyer_jax import cli, console
from butterflyer_jax.export.exporter import FORMATS, export


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = cli.ArgumentParser(prog="butterflyer export", description=__doc__)
    parser.add_argument("--run", required=True, metavar="DIR", help="run folder, made by butterflyer train")
    parser.add_argument("--format", default="keras", choices=FORMATS, help="default: keras")
    parser.add_argument("--to", metavar="PATH", help="file or folder, local or gs:// (default: export/ of the run)")
    parser.add_argument(
        "--python", default=sys.executable, metavar="FILE", help="interpreter with the runtime that reads it back"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    args = parser().parse_args(argv)
    with console.status(f"exporting as {args.format}, and reading it back"):
        written = export(args.run, args.format, args.to, args.python)
    print(f"wrote {written.summary}")


if __name__ == "__main__":
    cli.run(main)
