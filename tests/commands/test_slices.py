"""`python -m butterflyer_jax.evaluate --slices`, on a trained run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import butterflyer_jax as bj
from butterflyer_jax import evaluate


def in_record_order(dataset: Path, split: str) -> list[tuple[str, str]]:
    """Names and species of the photos of a split."""
    with bj.open_data(dataset) as data:
        return list(zip(data.photo_ids(split), [data.species[n] for n in data.labels(split)], strict=True))


@pytest.fixture(scope="module")
def table(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of all photos but one of test: a camera a species, and a number each."""
    rows = [row for split in ("train", "val", "test") for row in in_record_order(dataset, split)]
    file = tmp_path_factory.mktemp("tables") / "more.csv"
    lines = [f"{name},{species.split()[0]} cam,{number}" for number, (name, species) in enumerate(rows[:-1])]
    file.write_text("\n".join(["photo_id,Camera,Altitude", *lines]))
    return file


def test_numbers_by_camera_and_altitude(
    trained_run: Path, dataset: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(["--run", str(trained_run), "--slices", str(table), "--by", "Camera", "altitude"])
    metrics = json.loads((trained_run / "eval" / "test" / "metrics.json").read_text())
    cameras, altitudes = metrics["slices"]["Camera"], metrics["slices"]["altitude"]
    # A camera has one species, so its accuracy is that species' recall.
    for species, row in metrics["species"].items():
        if species != in_record_order(dataset, "test")[-1][1]:
            camera = cameras[f"{species.split()[0]} cam"]
            assert (camera["count"], camera["top1"]) == (row["support"], row["recall"])
            assert camera["balanced_accuracy"] == camera["top1"]
    assert cameras["not given"]["count"] == 1
    assert sum(row["count"] * row["loss"] for row in cameras.values()) / 12 == pytest.approx(metrics["loss"], rel=1e-5)
    assert list(altitudes) == [*(str(number) for number in range(48, 59)), "not given"]
    page = (trained_run / "report" / "index.html").read_text()
    assert 'id="slices"' in page and "Blue cam" in page
    out = capsys.readouterr().out
    assert f"  Blue cam: top1 {cameras['Blue cam']['top1']:.1%} (" in out

    again = bj.evaluate(trained_run)
    assert "slices" not in again
    assert 'id="slices"' not in (trained_run / "report" / "index.html").read_text()


def test_what_a_user_gets_wrong(trained_run: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(bj.UserError, match="slices need both"):
        bj.evaluate(trained_run, slices=table)
    with pytest.raises(bj.UserError, match="slices need both"):
        bj.evaluate(trained_run, by=["Camera"])
    with pytest.raises(bj.UserError, match="no column season"):
        bj.evaluate(trained_run, slices=table, by=["season"])
