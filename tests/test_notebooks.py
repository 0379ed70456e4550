"""The notebooks: run from the first cell to the last, current, with outputs, on the public API alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import make_notebooks

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
ALLOWED = {"os", "matplotlib", "numpy", "butterflyer_jax"}


def names(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_a_notebook_runs(
    path: Path, dataset: Path, tiny_config: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUTTERFLYER_INPUT", str(dataset))
    monkeypatch.setenv("BUTTERFLYER_CONFIG", str(tiny_config))
    monkeypatch.setenv("BUTTERFLYER_RUN", str(trained_run))
    monkeypatch.setenv("MPLBACKEND", "agg")
    book = make_notebooks.cells(path.read_text())
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_a_notebook_is_current_and_has_outputs(path: Path) -> None:
    """scripts/make_notebooks.py recreates them."""
    book, wanted = nbformat.read(path.with_suffix(".ipynb"), as_version=4), make_notebooks.cells(path.read_text())
    assert [(cell.cell_type, cell.source) for cell in book.cells] == [
        (cell.cell_type, cell.source) for cell in wanted.cells
    ]
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert not any(output.output_type == "error" for output in outputs)
    assert path.with_suffix(".ipynb").stat().st_size < 1 << 20


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_a_notebook_uses_the_public_api_alone(path: Path) -> None:
    imported = {
        alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in imported if name.startswith("butterflyer_jax")} == {"butterflyer_jax"}
    assert {name.partition(".")[0] for name in imported} <= ALLOWED


def test_both_are_there() -> None:
    assert [path.stem for path in SOURCES] == ["eda", "model_testing"]
