"""The bench script of the build, on a handful of tiny photos."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from butterflyer_jax.data.ingest import raw_zip
from tests.conftest import ROOT, make_zip


def test_it_measures_every_method_and_tells_the_machine(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    few = ["--photos", "24", "--long_side", "64", "96", "--rounds", "1", "--psnr_photos", "4"]
    figures_file = tmp_path / "figures.json"
    result = subprocess.run(
        [sys.executable, "benchmarks/bench_build.py", *few, "--work_dir", tmp_path / "work", "--json", figures_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(figures_file.read_text())
    peer = ["webdataset + Pillow, Pool"] if importlib.util.find_spec("webdataset") else []
    rows = {row["name"]: row for row in figures["rows"]}
    for method in ("butterflyer_jax", "plain TFDS + Pillow", *peer):
        assert method in result.stdout
        measured = [
            rows[f"{method}: {figure}"] for figure in ("photos a second", "photos a CPU second", "peak memory", "PSNR")
        ]
        assert all(row["value"] > 0 and row["unit"] for row in measured)
        ratios = [row["ratio_to_ours"] for row in measured]
        assert ratios[-1] is None
        assert all(ratio == 1 if method == "butterflyer_jax" else ratio > 0 for ratio in ratios[:-1])
        # Quality 95 keeps that much of any photo; another picture would have about 10.
        assert measured[-1]["value"] > 25
    assert len(rows) == len(figures["rows"]) == 4 * (2 + len(peer))
    assert figures["machine"]["cpu"]
    assert figures["machine"]["cores"] >= 1
    assert {"numpy", "pillow", "tensorflow-datasets"} <= figures["machine"]["libraries"].keys()
    assert figures["settings"]["photos"] == 24
    # Records and logs are deleted; the drawn photos stay for the next run.
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["drawn_24_64_96.zip"]


def test_a_wrong_word_is_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "benchmarks/bench_build.py", "--zip", tmp_path / "none.zip"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == f"error: no such zip: {tmp_path / 'none.zip'}\n"


def test_a_part_of_a_zip_keeps_the_labels_of_its_photos(tmp_path: Path) -> None:
    from benchmarks import build_methods

    table = "file,species\n" + "".join(f"{n}.jpg,{'ab'[n % 2]}\n" for n in range(3000))
    whole = make_zip(tmp_path / "raw.zip", {f"{n}.jpg": b"x" for n in range(3000)} | {"l.csv": table.encode()})
    build_methods.part_of_zip(whole, tmp_path / "part.zip", 4)
    listing = raw_zip.list_source(tmp_path / "part.zip")
    assert len(listing.members) == 4
    assert all(member.species == "ab"[int(Path(member.name).stem) % 2] for member in listing.members)
    assert not listing.missing
