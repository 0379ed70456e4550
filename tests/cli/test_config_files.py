"""Options in errors, as they are typed on a command line."""

from __future__ import annotations

import shlex

import pytest

from butterflyer_jax.cli.config_files import load_config, with_flags


@pytest.mark.parametrize(
    ("message", "overrides"),
    [
        ("Aglais sp/ may be a class (build.ignore=Aglais sp/* leaves it out, build.layout=leaf takes each as a class)",
         ["build.ignore=Aglais sp/*", "build.layout=leaf"]),
        ("build.table=labels (1).csv or build.table=labels - Kopie.csv chooses",
         ["build.table=labels (1).csv", "build.table=labels - Kopie.csv"]),
        ("columns A and B, and not the same ones: build.file_column=A takes those, build.file_column=A,B takes all",
         ["build.file_column=A", "build.file_column=A,B"]),
        ("build.group_column=none and build.bursts=none split without groups",
         ["build.group_column=none", "build.bursts=none"]),
        ("put aside (build.ignore=other/* leaves it out); leave it out with build.ignore=*.zip",
         ["build.ignore=other/*", "build.ignore=*.zip"]),
        ("build.layout=table: no table of the zip has labels", ["build.layout=table"]),
    ],
)  # fmt: skip
def test_options_in_errors_are_words_of_the_command_line(message: str, overrides: list[str]) -> None:
    typed = shlex.split(with_flags(message).replace("(--", " --").replace("'.", "' ."))
    found = [word.removeprefix("--config.").rstrip(":);,") for word in typed if word.startswith("--config.")]
    assert found == overrides
    load_config(None, found)


def test_other_words_stay() -> None:
    for message in ("see docs/build.layout=x", "--config.build.layout=leaf", "rebuild.layout=a", "build.nothing=1"):
        assert with_flags(message) == message
    assert with_flags("see build.label_column") == "see --config.build.label_column"
