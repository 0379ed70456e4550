"""`butterflyer correct`: the last layer learns from photos that were named wrongly."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import butterflyer_jax as bj
from butterflyer_jax import correct, train
from butterflyer_jax.config import Config
from butterflyer_jax.data.input.record_data import RecordData
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import feature_cache
from tests.conftest import SPECIES, folder_members, make_photo, make_zip

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten photos of one species, and one of a species that the run does not know."""
    folder = tmp_path_factory.mktemp("corrections")
    for name, numbers in ((SPECIES[2], range(10)), ("Unheard Of", range(1))):
        (folder / name).mkdir()
        for number in numbers:
            (folder / name / f"{number}.jpg").write_bytes(make_photo(7000 + number))
    return folder


def run_command(run: Path, source: Path, output: Path, *more: str) -> None:
    correct.main(["--run", str(run), "--input", str(source), "--output", str(output), *more])


def test_nothing_is_written_without_a_yes(
    trained_run: Path, corrections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="nothing is written: look at the table, and add --yes"):
        run_command(trained_run, corrections, tmp_path / "new")
    printed = capsys.readouterr().out
    assert "left out: 1 photos are of species that the run does not know" in printed
    rows = {line.split("  ")[0]: line.split() for line in printed.splitlines()}
    assert [rows[name][-3] for name in ("val", "test")] == ["12", "12"]
    assert f"all corrections are of {SPECIES[2]}: " in printed
    assert not list(tmp_path.glob("*new*"))


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_only_yes_is_a_yes(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for text, answer in ((typed, False), ("y\n", True), ("Yes\n", True)):
        monkeypatch.setattr("sys.stdin", Terminal(text))
        assert correct._says_yes("Write? ") is answer


def test_a_corrected_run_is_a_run_of_its_own(
    trained_run: Path, corrections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bj.Run(trained_run)
    run_command(trained_run, corrections, tmp_path / "new", "--yes")
    after = bj.Run(tmp_path / "new")
    assert after.species == before.species
    # All but the last layer is the same; that one has learned.
    old, new = (run._loaded.variables.params for run in (before, after))
    for name in old.keys() - {"logits"}:
        jax.tree.map(np.testing.assert_array_equal, old[name], new[name])
    assert (old["logits"]["kernel"] != new["logits"]["kernel"]).any()
    # So a correction of the corrected run finds what this one kept.
    assert feature_cache.network(before._loaded) == feature_cache.network(after._loaded)
    photos = sorted((corrections / SPECIES[2]).iterdir())
    right = [sum(answer["species"] == SPECIES[2] for answer in run.predict(photos)) for run in (before, after)]
    assert right[1] > right[0]
    assert json.loads((tmp_path / "new" / "config.json").read_text())["corrected"]["photos"] == 10
    assert after.predictor.classifier.name == f"new, step {before._loaded.step}, last layer of 10 corrections"
    assert not list(tmp_path.glob(".new*"))
    # An evaluation on the corrections says so; the one that was left out shows the same as one of the others.
    assert after.evaluate(dataset=corrections, to=tmp_path / "results")["trained_on"] == {"same": 11, "near": 0}
    with pytest.raises(UserError, match="already exists"):
        run_command(trained_run, corrections, tmp_path / "new", "--yes")
    with pytest.raises(UserError, match="holds a corrected run"):
        train.train(after.config, after.dataset, tmp_path / "new")


def test_the_next_correction_looks_at_no_photo_again(
    trained_run: Path, corrections: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from butterflyer_jax.evaluation import correction

    first = correction.fit(trained_run, corrections)

    def never(*_: object) -> None:
        raise AssertionError("a photo was looked at again")

    monkeypatch.setattr(RecordData, "eval_batches", never)
    monkeypatch.setattr(RecordData, "jpegs", never)
    assert correction.fit(trained_run, corrections).rows == first.rows


def test_photos_that_judge_teach_nothing(trained_run: Path, raw_zip: Path, tmp_path: Path) -> None:
    """The photos of the run's own zip under other labels: those of val and test are left out."""
    members = {name: data for name, data in folder_members().items() if name.startswith(SPECIES[0])}
    moved = {name.replace(SPECIES[0], SPECIES[1]): data for name, data in members.items()}
    from butterflyer_jax.evaluation import correction

    found = correction.fit(trained_run, make_zip(tmp_path / "moved.zip", moved))
    assert found.left_out == {"are photos of its val or test, which judge": 8}
    # Their own labels no longer count.
    assert found.replaced == 12


def test_a_run_that_knows_none_of_the_species(trained_run: Path, tmp_path: Path) -> None:
    source = make_zip(tmp_path / "other.zip", {f"Unheard Of/{n}.jpg": make_photo(50 + n) for n in range(3)})
    with pytest.raises(UserError, match="none of the data's species"):
        run_command(trained_run, source, tmp_path / "new", "--yes")
    assert not (tmp_path / "new").exists()


def test_one_species_can_be_tested_on_and_not_trained_on(trained_run: Path, tmp_path: Path) -> None:
    source = make_zip(tmp_path / "one.zip", {f"{SPECIES[0]}/{n}.jpg": make_photo(60 + n) for n in range(4)})
    assert bj.Run(trained_run).evaluate(dataset=source, to=tmp_path / "results")["count"] == 4
    with pytest.raises(UserError, match="only one species"):
        train.train(Config(), source, tmp_path / "run")
