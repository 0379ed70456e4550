"""The bench script of the input pipelines, on a handful of photos."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

MEASURED = {
    "ours": "butterflyer_jax, jpeg",
    "ours_cache": "butterflyer_jax, cache",
    "ours_raw_host": "butterflyer_jax, raw, crop on host",
    "tf_tuned": "tf.data, tuned",
}
IF_INSTALLED = {"webdataset": ("webdataset", "webdataset, one process, Pillow"), "ffcv": ("ffcv", "FFCV, JPEG")}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/bench_input.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_measures_every_method_and_tells_the_machine(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    few = ["--rounds", 1, "--batch_size", 8, "--batches", 2, "--seconds", 0.2, "--methods", *MEASURED, *IF_INSTALLED]
    figures_file = tmp_path / "figures.json"
    result = run("--input", dataset, *few, "--work_dir", tmp_path / "work", "--json", figures_file)
    assert result.returncode == 0, result.stderr
    titles = [*MEASURED.values()]
    for module, title in IF_INSTALLED.values():
        if importlib.util.find_spec(module):
            titles.append(title)
        else:
            assert f"skipped: {title} (not installed: {module})" in result.stdout

    figures = json.loads(figures_file.read_text())
    rows = {row["name"]: row for row in figures["rows"]}
    assert len(rows) == len(figures["rows"]) == 4 * len(titles)
    for title in titles:
        assert f"\n{title} " in result.stdout
        speed, cpu_speed, memory, cores = (
            rows[f"{title}: {figure}"]
            for figure in (
                "images per second",
                "images per CPU second",
                "peak memory",
                "cores for 1000 images per second",
            )
        )
        assert all(row["value"] > 0 and row["unit"] for row in (speed, cpu_speed, memory, cores))
        ratios = [row["ratio_to_ours"] for row in (speed, cpu_speed, memory)]
        assert all(ratio == 1 if title == MEASURED["ours"] else ratio > 0 for ratio in ratios)
        assert cores["ratio_to_ours"] is None
        assert cores["value"] == pytest.approx(1000 / cpu_speed["value"])
    assert "crop on device" in result.stdout
    assert figures["machine"]["cores"] >= 1
    assert {"numpy", "pillow", "tensorflow-datasets"} <= figures["machine"]["libraries"].keys()
    assert figures["settings"]["batch_size"] == 8
    assert figures["settings"]["photos"] == 36
    # Logs and the formats of the others are deleted; what ours keeps stays for the next run.
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["cache"]


def test_a_wrong_word_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    result = run("--input", tmp_path / "none.zip", "--work_dir", tmp_path / "work")
    assert result.returncode == 2
    assert result.stderr == f"error: no such zip or folder: {tmp_path / 'none.zip'}\n"
