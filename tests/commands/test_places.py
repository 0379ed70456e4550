"""Places of results that cannot be: one line, before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from butterflyer_jax import UserError, audit, correct, evaluate, sweep, train
from butterflyer_jax.app import feedback
from butterflyer_jax.app.pocket import __main__ as pocket
from butterflyer_jax.data import build as build_command
from butterflyer_jax.export import __main__ as export_command


def test_places_of_results_are_checked_first(trained_run: Path, tmp_path: Path) -> None:
    """A data set that is not there would be named only after them."""
    (tmp_path / "file").write_text("precious")
    nowhere, under_a_file = str(tmp_path / "nowhere.zip"), str(tmp_path / "file" / "new")
    for line in (
        [correct, "--run", str(trained_run), "--input", nowhere, "--output", under_a_file],
        [evaluate, "--run", str(trained_run), "--input", nowhere, "--to", under_a_file],
        [audit, "--run", str(trained_run), "--input", nowhere, "--to", under_a_file],
        [sweep, "--config", "cpu_sweep", "--input", str(tmp_path), "--output", under_a_file],
        [build_command, "--input", nowhere, "--output", under_a_file],
        [train, "--config", "demo", "--input", nowhere, "--output", under_a_file],
        [export_command, "--run", str(trained_run), "--to", under_a_file],
        [feedback, "--file", nowhere, "--to", under_a_file],
        [pocket, "--run", str(trained_run), "--to", under_a_file],
    ):
        command: Any = line[0]
        with pytest.raises(UserError, match="Not a directory; a file is in the way"):
            command.main(line[1:])
    assert (tmp_path / "file").read_text() == "precious"
