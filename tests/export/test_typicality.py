"""The typicality that exports carry, by which they refuse photos as their run does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax import Predictor, UserError, evaluate, runs
from butterflyer_jax.data import photo
from butterflyer_jax.export import card, onnx, safetensors
from butterflyer_jax.export.exporter import export
from butterflyer_jax.export.places import CARD, companion
from butterflyer_jax.export.reader import ExportClassifier
from butterflyer_jax.metrics import classification
from tests.conftest import encode, make_photo
from tests.helpers import typical_run


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return typical_run.make(trained_run, tmp_path_factory.mktemp("typical") / "run")


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    return Path(export(run, "onnx").path)


def images() -> np.ndarray:
    """Photos of the kind of the data set, and noise."""
    seen = [photo.central_crop(photo.load(make_photo(n), 48, 10**6)[0], 0.9, 32) for n in range(8)]
    return np.stack([*seen, *np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)])


def test_an_export_refuses_what_its_run_refuses(run: Path, exported: Path) -> None:
    theirs, refused = ExportClassifier(exported).classify(images())
    ours, expected = Predictor.load(run).classifier.classify(images())
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert refused.tolist() == expected.tolist()
    assert {*refused.tolist()} == {True, False}
    # What a search chooses by.
    of_run, of_export = (one.excess(images()) for one in (Predictor.load(run).classifier, ExportClassifier(exported)))
    np.testing.assert_allclose(of_export, of_run, atol=1e-3)
    assert (of_run > 0).tolist() == expected.tolist()


def test_an_export_is_current_while_it_answers_as_its_run(run: Path, exported: Path) -> None:
    loaded, about = runs.load_model(runs.read(run)), json.loads(companion(exported, CARD).read_text())
    assert card.is_current(about, loaded, onnx)
    typicality = about["typicality"] | {"limit": about["typicality"]["limit"] + 0.5}
    for other in ({"step": 3}, {"threshold": 0.1}, {"typicality": typicality}, {"typicality": None}, {"ranks": {}}):
        assert not card.is_current(about | other, loaded, onnx)
    assert not card.is_current({}, loaded, onnx)
    # A format that cannot refuse by it.
    assert card.is_current(about | {"typicality": None}, loaded, safetensors)


def test_the_score_in_the_graph_is_that_of_the_run(run: Path, exported: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported)
    score = dict(zip((x.name for x in session.get_outputs()), session.run(None, {"image": images()}), strict=True))
    loaded = runs.load_model(runs.read(run))
    typicality = loaded.typicality()
    assert typicality is not None
    from butterflyer_jax.models.features import make_features

    logits, features, _ = make_features(loaded.model, loaded.config)(loaded.variables, images())
    expected = typicality.score(np.asarray(features), np.asarray(logits))
    np.testing.assert_allclose(score["typicality"], expected, atol=2e-3)
    # The run computes it within its program, in float32.
    excess = Predictor.load(run).classifier.excess(images())
    np.testing.assert_allclose(excess, expected - float(typicality.limit), atol=1e-4)
    card = json.loads(Path(f"{exported}.card.json").read_text())
    assert card["typicality"]["limit"] == pytest.approx(float(typicality.limit))
    assert card["check"]["largest_difference_of_typicality"] < 1e-3
    assert f"above {float(typicality.limit):.6g} a photo is probably none" in Path(f"{exported}.card.md").read_text()
    limit = json.loads(session.get_modelmeta().custom_metadata_map["typicality_limit"])
    assert limit == pytest.approx(float(typicality.limit))


def test_the_code_of_the_card_refuses_what_the_run_refuses(run: Path, exported: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        plain = Image.new("RGB", (64, 64), (40 * number, 128, 128))
        file.write_bytes(make_photo(number) if number < 2 else encode(plain, "PNG"))
    defined = {"path": str(exported)}
    exec(json.loads(Path(f"{exported}.card.json").read_text())["read"], defined)
    refused = [defined["is_none_of_these"](file) for file in files]  # type: ignore[operator]
    assert refused == [answer["none_of_these"] for answer in Predictor.load(run).predict(files)]
    assert {*refused} == {True, False}
    assert '`is_none_of_these("photo.jpg")` whether the run refuses it' in Path(f"{exported}.card.md").read_text()


def test_a_wrong_score_never_takes_its_name(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = onnx.READ + "\nright = answer\ndef answer(images):\n    found = right(images)\n"
    wrong += '    return found | {"typicality": found["typicality"] + 1}\n'
    monkeypatch.setattr(onnx, "READ", wrong)
    with pytest.raises(UserError, match=r"typicality differs by 1"):
        export(run, "onnx", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_export_of_an_earlier_version_opens(trained_run: Path, tmp_path: Path) -> None:
    path = Path(export(trained_run, "onnx", tmp_path / "old.onnx").path)
    card_file = Path(f"{path}.card.json")
    card = json.loads(card_file.read_text())
    del card["typicality"], card["check"]["largest_difference_of_typicality"]
    card_file.write_text(json.dumps(card | {"threshold": 2.0}))
    _, refused = ExportClassifier(path).classify(images())
    assert refused.all()


def test_a_format_that_cannot_says_so(run: Path, tmp_path: Path) -> None:
    written = export(run, "safetensors", tmp_path)
    assert written.card["typicality"] is None
    assert "There is no output for its typicality" in (tmp_path / "model.safetensors.card.md").read_text()


def test_evaluation_brings_its_numbers_into_the_card(run: Path, exported: Path) -> None:
    card_file = Path(f"{exported}.card.json")
    assert json.loads(card_file.read_text())["metrics"] == {}
    found = evaluate(run)
    card = json.loads(card_file.read_text())
    assert card["metrics"]["test"]["top1"] == found["top1"]
    assert card["metrics"]["test"]["species"] == found["species"]
    text = Path(f"{exported}.card.md").read_text()
    low, high = found["intervals"]["top1"]
    assert f"top-1 {found['top1']:.1%} ({low:.1%} to {high:.1%})" in text and "| 0 | Blue Stripe | 4 |" in text
    assert f"refused {found['refusal']['known']['refused'] / found['count']:.1%} (" in text
    recall = found["species"]["Blue Stripe"]["recall"]
    low, high = classification.wilson(round(4 * recall), 4)
    assert f"| {recall:.1%} | {low:.1%} to {high:.1%} |" in text
    # Of another checkpoint nothing is said.
    card_file.write_text(json.dumps(card | {"step": 1, "metrics": {}}))
    evaluate(run)
    assert json.loads(card_file.read_text())["metrics"] == {}
