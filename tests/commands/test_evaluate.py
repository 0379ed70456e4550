"""`python -m butterflyer_jax.evaluate` on photos from elsewhere."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from butterflyer_jax import UserError, evaluate
from butterflyer_jax.data.build import build
from butterflyer_jax.runs import read
from tests.conftest import SPECIES, make_photo, make_zip

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: evaluations write into it."""
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("evaluated") / "run"))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two of the run's species, of one that it does not know, without any for training."""
    names = (SPECIES[0].lower().replace(" ", "_"), SPECIES[1], "Unheard Of")
    members = {f"test/{name}/{n}.jpg": make_photo(9000 + 10 * s + n) for s, name in enumerate(names) for n in range(4)}
    return make_zip(tmp_path_factory.mktemp("field") / "field.zip", members)


def outcomes_of(out: str, heading: str) -> dict[str, tuple[int, float]]:
    """The counts and shares of the answers below a heading of the console."""
    row = re.compile(r"  (right|wrong|not sure|refused) +(\d+) +([\d.]+)% \(")
    found = itertools.takewhile(bool, map(row.match, out.split(heading, 1)[1].split("\n")[1:]))
    return {one[1]: (int(one[2]), float(one[3])) for one in found if one}


def test_photos_from_elsewhere_have_a_folder_of_their_own(
    run: Path, field: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = evaluate(run)
    evaluate.main(["--run", str(run), "--input", str(field), "--name", "field"])
    out = capsys.readouterr().out
    metrics = json.loads((run / "eval" / "field" / "metrics.json").read_text())
    assert metrics["count"] == 8 and metrics["refusal"]["unknown"]["count"] == 4
    assert metrics["unknown_species"] == ["Unheard Of"]
    assert metrics["trained_on"] == {"same": 0, "near": 0}
    assert not metrics["is_own"] and metrics["fingerprint"] != own["fingerprint"]
    rows = list(csv.DictReader((run / "eval" / "field" / "predictions.csv").open()))
    assert len(rows) == 12 and set(SPECIES) <= set(rows[0])
    assert {row["label"] for row in rows if row["photo_id"].startswith("test/Unheard")} == {"Unheard Of"}
    # The run's own test stands beside it, as it was.
    assert json.loads((run / "eval" / "test" / "metrics.json").read_text())["count"] == own["count"]
    page = (run / "eval" / "field" / "index.html").read_text()
    assert "own photos, test" in page and "field" in page
    assert metrics["fingerprint"][:16] in page and own["fingerprint"][:16] not in page
    # Of the eight known photos each is right or wrong, and answered or refused; all stand in one table.
    outcomes = metrics["outcomes"]
    known = [outcomes[group][answer]["count"] for group in ("right", "wrong") for answer in ("answered", "refused")]
    assert sum(known) == 8 and known[0] + known[1] == round(8 * metrics["top1"])
    assert known[1] + known[3] == metrics["refusal"]["known"]["refused"]
    # On the console as well: the shares of each group add up.
    for which, count in (("known", 8), ("unknown", 4)):
        answers = outcomes_of(out, f"of species that the run {'knows' if which == 'known' else 'does not know'}:")
        assert sum(number for number, _ in answers.values()) == count
        assert sum(share for _, share in answers.values()) == pytest.approx(100, abs=0.3)
        assert answers["refused"][0] == metrics["refusal"][which]["refused"]
    assert "Answered and refused" in page and "of species that the run does not know" in page


def test_a_data_set_that_moved_is_remembered(run: Path, dataset: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(dataset, tmp_path / "moved" / "1.0.0")
    file = run / "config.json"
    saved = json.loads(file.read_text())
    file.write_text(json.dumps(saved | {"dataset": str(tmp_path / "gone")}))
    with pytest.raises(UserError, match=r"the run's data set is gone: .* with --input"):
        evaluate(run)
    first = evaluate(run, dataset=moved)
    assert first["name"] == "test" and first["is_own"]
    assert read(run).dataset == str(moved)
    assert evaluate(run)["top1"] == first["top1"]
    (tmp_path / "table.csv").write_text(f"{SPECIES[0]},{SPECIES[1]}\n")
    with pytest.raises(UserError, match="matches those of other photos, and these are the run's own"):
        evaluate(run, dataset=moved, species_table=tmp_path / "table.csv")


def test_a_run_that_may_only_be_read_is_evaluated_into_another_folder(
    run: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> dict[str, bytes]:
        return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}

    moved = Path(shutil.copytree(dataset, tmp_path / "moved"))
    before = content()
    metrics = evaluate(run, "val", moved, to=tmp_path / "results")
    assert content() == before
    assert metrics["report"] == str(tmp_path / "results" / "report" / "index.html")
    written = {str(path.relative_to(tmp_path / "results")) for path in (tmp_path / "results").rglob("*.*")}
    assert written == {"eval/val/metrics.json", "eval/val/predictions.csv", "report/index.html"}
    # As root everything may be written.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match=r"may only be read: name a folder for the results, --to DIR"):
        evaluate(run, "val")


def test_photos_that_the_run_was_trained_on_are_counted(
    run: Path, raw_zip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = build(raw_zip, tmp_path / "again", read(run).config.build)
    evaluate.main(["--run", str(run), "--split", "all", "--input", str(records)])
    other = json.loads((run / "eval" / "all" / "metrics.json").read_text())
    train = sum(row["train"] for row in json.loads((Path(records) / "data_card.json").read_text())["species"].values())
    assert other["trained_on"]["same"] == train
    assert f"all: the run was trained on {train} of these photos" in capsys.readouterr().out


def test_names_of_the_own_splits_are_kept(run: Path, field: Path) -> None:
    with pytest.raises(UserError, match="this name is kept for the run's own photos"):
        evaluate(run, dataset=field, name="test")
    with pytest.raises(UserError, match="take letters, digits"):
        evaluate(run, dataset=field, name="../x")


def test_photos_of_unknown_species_alone_are_counted_as_refused_or_not(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {f"test/{name}/{n}.jpg": make_photo(9100 + n) for name in ("Unheard Of", "Unseen") for n in range(3)}
    (tmp_path / "table.csv").write_text("Unheard Of,\nUnseen,\n")
    other = make_zip(tmp_path / "other.zip", members)
    line = ["--run", str(run), "--input", str(other), "--name", "unknown"]
    for more in (["--species_map", str(tmp_path / "table.csv")], []):
        evaluate.main(line + more)
        metrics = json.loads((run / "eval" / "unknown" / "metrics.json").read_text())
        assert metrics["count"] == 0 and metrics["refusal"]["unknown"]["count"] == 6
        said = capsys.readouterr()
        assert "6 photos of species that the run does not know:" in said.out
        assert ("if these are other names, match them with --species_map" in said.err) == (not more)
    page = (run / "eval" / "unknown" / "index.html").read_text().replace("\n", " ")
    assert "None of the photos is of a species that the run knows" in page
    assert "Most photos of species that the run does not know are not refused" in page


def test_a_table_from_elsewhere_labels_photos_that_have_no_labels(run: Path, tmp_path: Path, dataset: Path) -> None:
    names = [f"day/{n}.jpg" for n in range(6)]
    photos = make_zip(tmp_path / "photos.zip", {name: make_photo(9200 + n) for n, name in enumerate(names)})
    table = tmp_path / "survey.csv"
    rows = [f"{name},{n // 3},{SPECIES[n % 2]}" for n, name in enumerate(names)]
    table.write_text("\n".join(["filename,taxon,species", *rows, ""]))
    line = ["--run", str(run), "--input", str(photos), "--labels", str(table), "--name", "survey"]
    with pytest.raises(UserError, match=r"the label may be .* choose one with build\.label_column"):
        evaluate.main(line)
    evaluate.main([*line, "--config.build.label_column=species"])
    predictions = list(csv.DictReader((run / "eval" / "survey" / "predictions.csv").open()))
    assert {row["photo_id"]: row["label"] for row in predictions} == {
        name: SPECIES[n % 2] for n, name in enumerate(names)
    }
    for source in ([], ["--input", str(dataset)]):
        with pytest.raises(UserError, match=r"is built already: name a zip or a folder of photos with --input"):
            evaluate.main(["--run", str(run), *source, "--labels", str(table)])
    with pytest.raises(UserError, match=r"only fields of build can be given"):
        evaluate.main([*line, "--config.data.image_size=3"])


def test_photos_with_boxes_are_looked_at_around_these(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {f"{SPECIES[n % 2]}/{n}.jpg": make_photo(9300 + n) for n in range(4)}
    rows = [f"{name},10,10,40,30" for name in list(members)[:3]]
    table = "\n".join(["filename,xmin,ymin,xmax,ymax", *rows, ""])
    source = make_zip(tmp_path / "boxed.zip", members | {"boxes.csv": table.encode()})
    evaluate.main(["--run", str(run), "--input", str(source), "--name", "boxed"])
    said = "3 photos are looked at around their box, which predict does not know"
    assert f"boxed: {said}" in capsys.readouterr().out
    assert json.loads((run / "eval" / "boxed" / "metrics.json").read_text())["boxes"] == 3
    assert said in (run / "eval" / "boxed" / "index.html").read_text()
    # Without boxes there is no such line.
    evaluate.main(["--run", str(run), "--input", str(source), "--name", "plain", "--config.build.ignore=boxes.csv"])
    assert "around their box" not in capsys.readouterr().out
    assert json.loads((run / "eval" / "plain" / "metrics.json").read_text())["boxes"] == 0
    assert "around their box" not in (run / "eval" / "plain" / "index.html").read_text()
