"""Prints the completion script of the command `butterflyer` for a shell.

    butterflyer completion bash > ~/.local/share/bash-completion/completions/butterflyer
    butterflyer completion zsh > ~/.zfunc/_butterflyer

Subcommands, their options and all config fields are completed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from butterflyer_jax import cli
from butterflyer_jax.__main__ import COMMANDS, load
from butterflyer_jax.config import describe


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    import shtab

    parser = cli.ArgumentParser(prog="butterflyer completion", description=__doc__)
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="shell to complete in")
    return parser


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    import shtab

    print(shtab.complete(_whole(), shell=parser().parse_args(argv).shell))


def _whole() -> argparse.ArgumentParser:
    """Returns one parser with all subcommands, as shtab wants it."""
    whole = argparse.ArgumentParser(prog="butterflyer", allow_abbrev=False)
    subparsers = whole.add_subparsers(metavar="COMMAND")
    for name, (_, what) in COMMANDS.items():
        module = load(name)
        parent = module.parser()
        subparser = subparsers.add_parser(name, help=what, parents=[parent], add_help=False)
        if "--config." in (parent.epilog or ""):
            for field, default, _ in describe():
                subparser.add_argument(f"--config.{field}", metavar="VALUE", help=f"config field, default {default}")
    return whole


if __name__ == "__main__":
    cli.run(main)
