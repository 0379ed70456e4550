"""The command `butterflyer`: one subcommand per task.

Each subcommand is a module with `parser()` and `main(argv)`, and runs as `python -m butterflyer_jax.MODULE` too.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from butterflyer_jax import cli
from butterflyer_jax.errors import UserError, close_match

# Name: (module, what it does).
COMMANDS = {
    "build": ("data.build", "build a raw zip or folder into sharded TFRecords and a data card"),
    "train": ("train", "train a classifier, or resume a run"),
    "evaluate": ("evaluate", "evaluate a run on a split: metrics, predictions and a report"),
    "compare": ("compare", "compare runs on the same photos: intervals and paired tests"),
    "audit": ("audit", "find labels that are probably wrong: a page and a table to correct"),
    "correct": ("correct", "refit the last layer of a run on photos that it named wrongly"),
    "predict": ("predict", "name the species in images"),
    "export": ("export.__main__", "write a run's model for Keras, TensorFlow, ONNX, LiteRT, StableHLO or PyTorch"),
    "app": ("app.__main__", "serve the page that names a butterfly and answers questions about it"),
    "sweep": ("sweep", "search hyperparameters"),
    "launch": ("launch", "train on Vertex AI, Kubernetes or Slurm"),
    "preview": ("preview", "show augmented batches, or measure the input pipeline"),
    "synthetic": ("synthetic.__main__", "draw a raw zip of invented species to try things on"),
    "app.feedback": ("app.feedback", "turn the visitors' feedback into labels"),
    "app.pocket": ("app.pocket.__main__", "write the page as a static site that needs no server"),
    "app.knowledge": ("app.knowledge.__main__", "check a folder of species files"),
    "doctor": ("doctor", "show versions, devices and extras of this installation"),
    "completion": ("completion", "print the shell completion script"),
}


def main() -> None:
    """Runs the subcommand that the command line names."""
    cli.run(_run)


def _run(argv: Sequence[str]) -> None:
    name, *rest = argv or ["--help"]
    if name == "help" and rest and rest[0] in COMMANDS:
        load(rest[0]).main(["--help"])
    elif name in ("-h", "--help", "help"):
        print(usage())
    elif name in ("-V", "--version"):
        from butterflyer_jax import __version__

        print(f"butterflyer {__version__}")
    elif name in COMMANDS:
        load(name).main(rest)
    else:
        raise UserError(
            f"unknown command {name}{close_match(name, [*COMMANDS, '--version', '--help'])} (see butterflyer --help)"
        )


def load(name: str) -> cli.Command:
    """Imports the module of a subcommand."""
    return importlib.import_module(f"butterflyer_jax.{COMMANDS[name][0]}")


def usage() -> str:
    """Returns the help of the command itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: butterflyer COMMAND [options]",
            "",
            "From a raw zip of labelled butterfly photos to a trained, evaluated classifier, and its answers.",
            "",
            "commands:",
            *lines,
            "",
            "butterflyer COMMAND --help lists the options of a command, butterflyer --version prints the version.",
        ]
    )


if __name__ == "__main__":
    main()
