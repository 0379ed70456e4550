"""The bench script of inference, on a tiny run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def test_it_measures_a_run_and_its_export(trained_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    pytest.importorskip("onnxruntime")
    few = ["--batch_sizes", 1, 2, "--seconds", 0.01, "--rounds", 1, "--methods", "ours_alone", "onnx_alone", "torch"]
    command = ["benchmarks/bench_inference.py", "--run", trained_run, *few, "--json", tmp_path / "figures.json"]
    result = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    if not importlib.util.find_spec("torch"):
        assert "skipped: PyTorch, torch.compile (not installed: torch)" in result.stdout
    rows = {row["name"]: row for row in json.loads((tmp_path / "figures.json").read_text())["rows"]}
    for size in (1, 2):
        for title in ("butterflyer_jax", "onnxruntime"):
            measured, processor = (rows[f"{title}: batch of {size}{end}"] for end in ("", ", processor"))
            assert measured["value"] > 0 and processor["value"] > 0
            assert title != "butterflyer_jax" or measured["ratio_to_ours"] == 1
        assert f"\nbatch of {size}\n" in result.stdout
    differences = [float(line.split()[-1]) for line in result.stdout.splitlines() if line.startswith("onnxruntime ")]
    assert len(differences) == 2 and max(differences) < 1e-5
