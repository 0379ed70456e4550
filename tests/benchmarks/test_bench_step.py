"""The bench script of the train step, and the arithmetic of scaling."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TITLES = ("butterflyer_jax", "same, Flax's layers")


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"benchmarks/{script}.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_measures_the_step_and_tells_the_machine(tmp_path: Path) -> None:
    small = ["--variant", "vgg11", "--width", 0.125, "--image_size", 32, "--batch_size", 4, "--steps", 2, "--rounds", 1]
    result = run("bench_step", *small, "--methods", "ours", "flax", "keras", "--json", tmp_path / "figures.json")
    assert result.returncode == 0, result.stderr
    assert "skipped: Keras on JAX (it has no vgg11)" in result.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    rows = {row["name"]: row for row in figures["rows"]}
    assert set(rows) == {
        f"{title}: {figure}" for title in TITLES for figure in ("step", "images per second", "memory", "TFLOP/s", "MFU")
    }
    for title in TITLES:
        step, speed = rows[f"{title}: step"], rows[f"{title}: images per second"]
        assert speed["value"] == pytest.approx(4000 / step["value"])
        assert 0 < rows[f"{title}: MFU"]["value"] < 1.5
    assert rows[f"{TITLES[0]}: step"]["ratio_to_ours"] == 1
    # What the plain pool's gradient keeps.
    assert rows[f"{TITLES[0]}: memory"]["value"] < rows[f"{TITLES[1]}: memory"]["value"]
    assert figures["machine"]["device"] == "cpu"
    assert figures["settings"]["batch_size"] == 4


def test_scaling_agrees_with_itself() -> None:
    result = run("scaling", "--step_ms", 50)
    assert result.returncode == 0, result.stderr
    [one, *_, most] = [line for line in result.stdout.splitlines() if line[:1].isdigit()]
    assert one.split()[2:4] == ["0.0", "ms"]
    assert one.count("100%") == 6
    # 538.8 MB, seven eighths of it twice over NVLink and again over 12.5 GB/s: 2.4 ms and 75.4 ms.
    assert "77.8 ms 53%" in most
