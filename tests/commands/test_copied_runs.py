"""Runs that were copied without a file that their answers depend on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from butterflyer_jax import predict
from butterflyer_jax.metrics import typicality
from tests.conftest import make_photo


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(make_photo(0))
    return path


def test_a_run_without_its_calibration_says_so(
    trained_run: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    predict.main(["--run", str(run), str(photo)])
    assert "not calibrated" not in capsys.readouterr().err
    (run / "calibration.json").unlink()
    predict.main(["--run", str(run), str(photo)])
    said = capsys.readouterr()
    assert "the probabilities are not calibrated, and no image is refused: the training has not ended" in said.err
    assert f"`butterflyer evaluate --run {run}` calibrates them" in said.err and '"none_of_these": false' in said.out


def test_a_run_without_its_typicality_or_its_ranks_says_so(
    trained_run: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(typicality, "MIN_VAL", 5)
    run = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    (run / "ranks.json").unlink(missing_ok=True)
    saved = json.loads((run / "config.json").read_text())
    line = ["--run", str(run), str(photo)]
    predict.main(line)
    said = capsys.readouterr().err
    assert "typicality.npz is missing or of another checkpoint, so images are refused by their highest" in said
    assert f"`butterflyer evaluate --run {run}` recreates it" in said and "ranks.json" not in said
    saved["config"]["refusal"]["typicality"] = False
    saved["config"]["ranks"]["taxonomy"] = str(tmp_path / "taxa.csv")
    (run / "config.json").write_text(json.dumps(saved))
    (tmp_path / "taxa.csv").write_text(
        "species,family\n" + "".join(f"{name},{'AB'[n > 1]}\n" for n, name in enumerate(saved["species"]))
    )
    predict.main(line)
    said = capsys.readouterr().err
    assert "ranks.json is missing or of another checkpoint" in said and "typicality" not in said
    monkeypatch.setattr(typicality, "MIN_VAL", 500)
    predict.main(line)
    assert "missing" not in capsys.readouterr().err, "of so few val photos neither is fitted"
