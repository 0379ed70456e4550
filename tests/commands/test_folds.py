"""`python -m butterflyer_jax.train --folds`: a run for each fold, and one table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import butterflyer_jax as bj
from butterflyer_jax import UserError, load_config, train
from butterflyer_jax.metrics import classification
from tests.conftest import SPECIES

OPTIONS = ("--config.num_epochs=1", "--config.refusal.typicality=False")


@pytest.fixture(scope="module")
def folds(dataset: Path, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of three folds."""
    output = tmp_path_factory.mktemp("folds") / "output"
    line = ["--config", tiny_config, "--input", dataset, "--output", output, "--folds", "3", *OPTIONS]
    train.main([*map(str, line)])
    return output


def answers(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "eval" / "test" / "predictions.csv").open()))


def test_each_photo_is_tested_once_and_the_table_counts_them_all(folds: Path, dataset: Path) -> None:
    found = json.loads((folds / "folds.json").read_text())
    runs = [folds / f"fold-{fold}" for fold in (1, 2, 3)]
    assert [row["run"] for row in found["folds"]] == [str(run) for run in runs]
    tested = [row for run in runs for row in answers(run)]
    listed = [row for split in ("train", "val", "test") for row in csv.DictReader((dataset / f"{split}.csv").open())]
    # Names and labels fit, so the pixels of each record were found under its name.
    assert sorted((row["photo_id"], row["label"]) for row in tested) == sorted(
        (row["photo_id"], row["label"]) for row in listed
    )
    right = sum(row["label"] == row["species"] for row in tested)
    assert (found["count"], found["top1"]) == (60, right / 60)
    assert found["interval"] == classification.wilson(right, 60)
    top1 = [np.mean([row["label"] == row["species"] for row in answers(run)]) for run in runs]
    assert found["mean"]["top1"] == pytest.approx(np.mean(top1))
    assert found["std"]["top1"] == pytest.approx(np.std(top1, ddof=1))
    of_first = [row["label"] == row["species"] for row in tested if row["label"] == SPECIES[0]]
    assert found["species"][SPECIES[0]]["recall"] == pytest.approx(np.mean(of_first))
    assert found["species"][SPECIES[0]]["support"] == 20


def test_the_splits_of_a_fold_hold_the_photos_that_their_names_say(folds: Path, dataset: Path) -> None:
    run = bj.Run(folds / "fold-2")
    with bj.open_data(dataset) as whole:
        by_name = {
            name: jpeg for split in ("train", "val", "test")
            for name, jpeg in zip(whole.photo_ids(split), whole.jpegs(split), strict=True)
        }  # fmt: skip
    with bj.open_data(dataset, run.config) as data:
        found = {split: dict(zip(data.photo_ids(split), data.jpegs(split), strict=True))
                 for split in ("train", "val", "test")}  # fmt: skip
        assert data.source.class_counts == tuple(np.bincount(data.labels("train")))
        trained = {number for batch in data.batches("train", 4) for number in batch["index"].tolist()}
    assert {name: jpeg for of_split in found.values() for name, jpeg in of_split.items()} == by_name
    assert [len(found[split]) for split in ("train", "val", "test")] == [20, 20, 20]
    assert len(trained) == 20 // 8 * 8
    # The val photos of a fold are the test photos of the next one.
    assert set(found["val"]) == {row["photo_id"] for row in answers(folds / "fold-3")}


def test_the_same_command_only_reads_what_is_finished(
    folds: Path, dataset: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folds / "folds.json").read_text()
    times = {path: path.stat().st_mtime_ns for path in folds.rglob("predictions.csv")}
    (folds / "folds.json").unlink()
    line = ["--config", tiny_config, "--input", dataset, "--output", folds, "--folds", "3", *OPTIONS]
    train.main([*map(str, line)])
    assert (folds / "folds.json").read_text() == before
    assert {path: path.stat().st_mtime_ns for path in folds.rglob("predictions.csv")} == times
    out = capsys.readouterr().out
    found = json.loads(before)
    assert f"mean              {found['mean']['top1']:.1%}".split() == next(
        row.split()[:2] for row in out.splitlines() if row.strip().startswith("mean")
    )
    assert "all 60 photos, each tested once" in out


def test_what_does_not_fit_is_refused(folds: Path, dataset: Path, trained_run: Path, tiny_config: Path) -> None:
    def run(*arguments: object) -> None:
        train.main(["--config", str(tiny_config), *map(str, arguments)])

    with pytest.raises(UserError, match="--folds 2: take 3 or more"):
        run("--input", dataset, "--output", folds, "--folds", 2)
    with pytest.raises(UserError, match="holds a single run"):
        run("--input", dataset, "--output", trained_run, "--folds", 3)
    with pytest.raises(UserError, match=r"data\.num_folds was 3, is 4"):
        run("--input", dataset, "--output", folds, "--folds", 4, *OPTIONS)
    with pytest.raises(UserError, match="take either"):
        run("--input", dataset, "--output", folds, "--folds", 3, "--config.data.num_folds=3", "--config.data.fold=1")
    with pytest.raises(UserError, match="leave it out of --find_lr"):
        run("--input", dataset, "--output", folds, "--folds", 3, "--find_lr")
    with pytest.raises(UserError, match="in one process"):
        run("--input", dataset, "--output", folds, "--folds", 3, "--coordinator", "localhost:1", "--num_processes", 2,
            "--process_id", 0)  # fmt: skip
    with pytest.raises(UserError, match="fake photos have no folds"):
        run("--input", "fake", "--output", folds.parent / "fake", "--folds", 3)
    with pytest.raises(UserError, match=r"data\.num_folds = 3 and data\.fold = 4"):
        load_config(tiny_config, ["data.num_folds=3", "data.fold=4"])
