"""Ranks of a run through its commands: fitted, used by evaluate and predict, and kept in the run."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from butterflyer_jax import Predictor, UserError, evaluate, predict
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data.build import build
from butterflyer_jax.data.dataset import open_data
from butterflyer_jax.runs import load_model, model_files, read
from tests.conftest import folder_members, make_zip

FAMILIES = {"Blue Stripe": "Linidae", "Green Dot": "Linidae", "Red Edge": "Edgidae"}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos of the run in folders of families, 24 of them in val."""
    members = {f"{FAMILIES[name.partition('/')[0]]}/{name}": data for name, data in folder_members().items()}
    folder = tmp_path_factory.mktemp("families")
    config = BuildConfig(image_size=48, val_fraction=0.4, test_fraction=0.2)
    return Path(build(make_zip(folder / "families.zip", members), folder / "built", config))


@pytest.fixture
def run(trained_run: Path, records: Path, tmp_path: Path) -> Path:
    """The run, as if it were trained on that data set; hardly trained, it is right less often than 95%."""
    copy = Path(shutil.copytree(trained_run, tmp_path / "run"))
    saved = json.loads((copy / "config.json").read_text())
    with_family = open_data(records, read(copy).config)
    saved |= {"dataset": str(records), "fingerprint": with_family.fingerprint}
    with_family.close()
    saved["config"] |= {"ranks": {"precision": 0.5, "taxonomy": ""}}
    saved["config"]["refusal"] |= {"typicality": False}
    (copy / "config.json").write_text(json.dumps(saved))
    (copy / "calibration.json").unlink()
    return copy


def test_evaluate_fits_the_ranks_and_predict_answers_by_them(
    run: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(["--run", str(run)])
    captured = capsys.readouterr()
    assert "ranks: species, family" in captured.err
    kept = json.loads((run / "ranks.json").read_text())
    assert kept["ranks"][1]["taxa"] == list(FAMILIES.values())
    metrics = json.loads((run / "eval" / "test" / "metrics.json").read_text())
    known = metrics["ranks"]["known"]
    right = ", ".join(f"{row['right']} by {row['rank']}" for row in known if row["right"])
    assert right and re.search(rf"\n  right +{sum(row['right'] for row in known)} .*\), {right}\n", captured.out)
    rows = list(csv.DictReader((run / "eval" / "test" / "predictions.csv").open()))
    counts = Counter(row["rank"] for row in rows)
    for of_rank in known:
        of_csv = [row for row in rows if row["rank"] == of_rank["rank"]]
        own = [row["label"] if of_rank["rank"] == "species" else FAMILIES[row["label"]] for row in of_csv]
        assert of_rank["count"] == counts[of_rank["rank"]]
        assert of_rank["right"] == sum(row["taxon"] == name for row, name in zip(of_csv, own, strict=True))
    assert counts["family"] and all(row["rank"] == "" for row in rows if row["none_of_these"] == "true")
    assert "The lowest rank that is sure enough" in (run / "report" / "index.html").read_text()

    predictor = Predictor.load(run)
    with_records = open_data(records, predictor.classifier.config)
    jpegs = list(with_records.jpegs("test", range(len(rows))))
    with_records.close()
    for answer, row in zip(predictor.predict(jpegs), rows, strict=True):
        assert (answer["answer"]["rank"] or "", answer["answer"]["name"] or "") == (row["rank"], row["taxon"])
        if row["rank"] == "family":
            assert answer["answer"]["text"].startswith("one of the family Linidae, perhaps a ")
    # They stay with the run, and are not fitted again.
    loaded = load_model(read(run))
    assert "ranks.json" in model_files(loaded.run, loaded.step, run)
    evaluate.main(["--run", str(run)])
    assert "ranks:" not in capsys.readouterr().err


def test_val_photos_that_show_no_rank_to_be_right_are_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = json.loads((run / "config.json").read_text())
    saved["config"]["ranks"]["precision"] = 0.999
    (run / "config.json").write_text(json.dumps(saved))
    evaluate.main(["--run", str(run)])
    captured = capsys.readouterr()
    assert all(rank["threshold"] is None for rank in json.loads((run / "ranks.json").read_text())["ranks"])
    assert "val photos do not show that species, family are right 100% of the time" in captured.err
    assert "so every answer is 'not sure, perhaps' a species: more photos help, or a smaller" in captured.err
    # With the share that was measured, and its interval: whether to ask for less is the user's choice.
    assert re.search(r"of the \d+ with 80% or more \d+ are right \(\d+% to \d+%\)", captured.err)


def test_predict_prints_ranks(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(run)
    kept = json.loads((run / "ranks.json").read_text())
    photo = tmp_path / "a.jpg"
    photo.write_bytes(folder_members(1)["Blue Stripe/000.jpg"])
    seen = {}
    for name, thresholds in {"family": (None, 0.01), "species": (0.01, 0.01), "": (None, None)}.items():
        for rank, threshold in zip(kept["ranks"], thresholds, strict=True):
            rank["threshold"] = threshold
        # Of the two Linidae, whatever the network finds.
        kept["ranks"][1]["taxa"] = ["Linidae", "Linidae", ""]
        (run / "ranks.json").write_text(json.dumps(kept))
        for form in ("table", "csv", "json") if name == "family" else ("table", "json"):
            capsys.readouterr()
            predict.main(["--run", str(run), str(photo), "--format", form])
            seen[form] = capsys.readouterr().out
        found = json.loads(seen["json"])
        answer, last = found["answer"], seen["table"].splitlines()[-1]
        assert (answer["rank"] or "") == name
        if name == "family":
            [row] = csv.DictReader(io.StringIO(seen["csv"]))
            assert (row["rank"], row["name"]) == (answer["rank"], answer["name"]) == ("family", "Linidae")
            assert float(row["name_probability"]) == answer["probability"] <= 1
            assert last.startswith("family Linidae")
        elif name == "species":
            assert last.startswith(found["species"]) and answer["name"] == found["species"]
        else:
            # No probability stands beside it: the network's is that of the species.
            assert last.removeprefix("not sure").lstrip().startswith(f"{found['species']} ")
            assert last.startswith("not sure") and answer["text"] == f"not sure, perhaps a {found['species']}"


def test_ranks_that_do_not_fit_are_one_line(run: Path, tmp_path: Path) -> None:
    (run / "ranks.json").write_text("{}")
    with pytest.raises(UserError, match=r"ranks.json is damaged: .*; remove it, and `butterflyer evaluate` recreates"):
        Predictor.load(run)
    (run / "ranks.json").unlink()
    saved = json.loads((run / "config.json").read_text())
    table = tmp_path / "taxa.csv"
    table.write_text("species,genus\nBlue Stripe,A\nGreen Dot,B\n")
    saved["config"]["ranks"]["taxonomy"] = str(table)
    (run / "config.json").write_text(json.dumps(saved))
    with pytest.raises(UserError, match="lacks 1 of the run's 3 species: Red Edge"):
        evaluate(run)
    # Another taxonomy is refitted.
    table.write_text("species,genus\nBlue Stripe,A\nGreen Dot,B\nRed Edge,A\n")
    evaluate(run)
    assert json.loads((run / "ranks.json").read_text())["ranks"][1]["taxa"] == ["A", "B", "A"]
    # The run has what it said, whatever becomes of the table.
    table.unlink()
    assert evaluate(run)["ranks"]["known"][1]["rank"] == "genus"
