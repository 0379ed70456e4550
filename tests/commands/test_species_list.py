"""`--species LIST.txt`: only these species can occur, in predict and in evaluate."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from butterflyer_jax import Predictor, UserError, evaluate, predict
from tests.conftest import SPECIES, make_photo


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A list of two of the three species, one in another spelling."""
    file = tmp_path / "two.txt"
    file.write_text(f"# of the meadow\n{SPECIES[0].lower().replace(' ', '_')}\n{SPECIES[2]}\n")
    return file


def test_predict_names_listed_species_alone(
    trained_run: Path, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(6)]
    for number, photo in enumerate(photos):
        photo.write_bytes(make_photo(1000 * (number % 3) + number))
    before = Predictor.load(trained_run).predict(photos)
    predict.main(["--run", str(trained_run), "--species", str(two), *map(str, photos)])
    after = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for old, new in zip(before, after, strict=True):
        assert [row["species"] for row in new["top5"]] == sorted(
            (SPECIES[0], SPECIES[2]), key=lambda name: -old["probabilities"][name]
        )
        left = old["probabilities"][SPECIES[0]] + old["probabilities"][SPECIES[2]]
        assert new["probabilities"][SPECIES[1]] == 0
        assert new["probabilities"][SPECIES[0]] == pytest.approx(old["probabilities"][SPECIES[0]] / left, abs=1e-4)
        assert new["none_of_these"] == (old["none_of_these"] or left < 0.05)


def test_evaluate_with_a_list_is_an_evaluation_of_its_own(
    trained_run: Path, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    own = evaluate(run)
    page = (run / "report" / "index.html").read_text()
    evaluate.main(["--run", str(run), "--species", str(two)])
    out = capsys.readouterr().out
    assert "test-two: top1" in out and "test-two: 4 photos of species that are not listed:\n" in out
    metrics = json.loads((run / "eval" / "test-two" / "metrics.json").read_text())
    assert metrics["species_list"] == [SPECIES[0], SPECIES[2]]
    assert (metrics["count"], metrics["refusal"]["unknown"]["count"]) == (8, 4)
    rows = list(csv.DictReader((run / "eval" / "test-two" / "predictions.csv").open()))
    assert {row["species"] for row in rows} <= {SPECIES[0], SPECIES[2]}
    assert {row["label"] for row in rows if not row["known_as"]} == {SPECIES[1]}
    right = [row["species"] == row["label"] for row in rows if row["known_as"]]
    assert metrics["top1"] == sum(right) / 8
    # The run's own test stands as it was.
    assert json.loads((run / "eval" / "test" / "metrics.json").read_text())["top1"] == own["top1"]
    assert (run / "report" / "index.html").read_text() == page
    with pytest.raises(UserError, match="this name is kept for the run's own photos"):
        evaluate(run, species_list=two, name="test")


def test_a_species_that_the_run_does_not_know_is_one_line(trained_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("Blue Strip\n")
    for command in (predict.main, evaluate.main):
        with pytest.raises(UserError, match="line 1: the run knows no species 'Blue Strip'; did you mean Blue Stripe"):
            command(["--run", str(trained_run), "--species", str(file), *(["x.jpg"] * (command is predict.main))])
