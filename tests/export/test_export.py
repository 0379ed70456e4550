"""`python -m butterflyer_jax.export`, and the export that ends a training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from butterflyer_jax import Predictor, UserError, runs
from butterflyer_jax.data import photo
from butterflyer_jax.export import onnx, usage, verify
from butterflyer_jax.export.card import to_markdown
from butterflyer_jax.export.exporter import export
from butterflyer_jax.export.reader import ExportClassifier
from tests.conftest import SPECIES, Command, assert_one_line_error, make_photo


def test_training_ends_with_a_keras_file_that_answers_as_the_run_does(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", "--config.export.format=keras"]
    result = command("train", *line, "--config.num_epochs=1")
    assert result.returncode == 0, result.stderr
    file = tmp_path / "run" / "export" / "model.keras"
    assert f"export: {file}" in result.stderr and "on 12 test photos" in result.stderr
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "model.keras",
        "model.keras.card.json",
        "model.keras.card.md",
        "model.keras.species.txt",
    ]
    card = json.loads((file.parent / "model.keras.card.json").read_text())
    assert card["species"] == list(SPECIES)
    assert card["check"]["largest_difference"] < 1e-5
    assert (file.parent / "model.keras.species.txt").read_text().splitlines() == list(SPECIES)
    text = (file.parent / "model.keras.card.md").read_text()
    assert card["read"] in text and "it needs keras, tensorflow, numpy, pillow; jax or torch" in text
    assert 0 < card["check"]["largest_difference_of_bytes"] < 0.05


def test_a_run_resumes_with_another_export(
    trained_run: Path, dataset: Path, tiny_config: Path, command: Command
) -> None:
    line = ["--config", tiny_config, "--input", dataset, "--output", trained_run]
    result = command("train", *line, "--config.export.format=onnx")
    assert result.returncode == 0, result.stderr
    assert (trained_run / "export" / "model.onnx").exists()
    again = command("train", *line, "--config.export.format=onnx")
    assert again.returncode == 0 and "export:" not in again.stderr


def test_the_command_writes_into_a_folder_or_a_file(trained_run: Path, tmp_path: Path, command: Command) -> None:
    for target, file in {"out": "out/model.safetensors", "named.safetensors": "named.safetensors"}.items():
        result = command(
            "export", "--run", trained_run, "--format", "safetensors", "--to", tmp_path / target, alone=True
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"wrote {tmp_path / file}, ")
        assert {f"{Path(file).name}.card.json", f"{Path(file).name}.species.txt"} <= {
            path.name for path in (tmp_path / file).parent.iterdir()
        }
        assert not list(tmp_path.rglob(".*"))


def test_a_saved_model_takes_the_place_of_an_earlier_one(trained_run: Path, tmp_path: Path) -> None:
    target = tmp_path / "served"
    target.mkdir()
    (target / "card.json").write_text("{}")
    (target / "old").write_text("of the one before")
    written = export(trained_run, "savedmodel", target)
    assert not (target / "old").exists()
    assert {"saved_model.pb", "card.json", "card.md", "species.txt"} <= {path.name for path in target.iterdir()}
    assert written.card["check"]["same_species"] == 12
    assert list(tmp_path.iterdir()) == [target]
    (target / "card.json").unlink()
    with pytest.raises(UserError, match="is not empty and holds no export"):
        export(trained_run, "savedmodel", target)


def test_a_file_that_is_no_export_is_kept(trained_run: Path, tmp_path: Path) -> None:
    for format, name, reason in (
        ("savedmodel", "photo.jpg", "is a file, not a folder of an export"),
        ("onnx", "other.onnx", "no card beside it shows that it is an export"),
    ):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(UserError, match=f"{name} .*{reason}; take another --to"):
            export(trained_run, format, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"precious"


def test_exported_probabilities_are_the_predictors(trained_run: Path, tmp_path: Path) -> None:
    import onnxruntime

    export(trained_run, "onnx", tmp_path / "model.onnx")
    data = make_photo(5, 90, 80)
    config = runs.read(trained_run).config
    image = photo.central_crop(photo.load(data, config.build.image_size, 10**6)[0], 0.9, 32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    [answer] = session.run(None, {"image": image[None]})
    ours = Predictor.load(trained_run).predict([data])[0]["probabilities"]
    np.testing.assert_allclose(answer[0], list(ours.values()), atol=2e-6)
    # With its card it may have another name; of another content it is refused, though the runtime would take it.
    for file in [*tmp_path.iterdir()]:
        file.rename(file.with_name(file.name.replace("model", "leeds")))
    assert ExportClassifier(tmp_path / "leeds.onnx").name == "leeds.onnx"
    card_file = tmp_path / "leeds.onnx.card.json"
    card = json.loads(card_file.read_text()) | {"corrections": 40}
    card_file.write_text(json.dumps(card))
    assert ExportClassifier(tmp_path / "leeds.onnx").name == "leeds.onnx, last layer of 40 corrections"
    assert f"step {card['step']}, last layer of 40 corrections." in to_markdown(card)
    content = bytearray((tmp_path / "leeds.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "leeds.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"leeds\.onnx is not what was exported \(another checksum than in its card\)"):
        ExportClassifier(tmp_path / "leeds.onnx")


def test_a_wrong_file_never_takes_its_name(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "READ", onnx.READ.replace('{"image": images}', '{"image": images[:, ::-1]}'))
    with pytest.raises(UserError, match=r"model\.onnx answers differently from the run: probabilities differ by"):
        export(trained_run, "onnx", tmp_path)
    monkeypatch.undo()
    # Other filters differ a little on any network, a wrong crop on one that has learned something.
    monkeypatch.setattr(verify, "TOLERANCE_OF_BYTES", 0.0)
    with pytest.raises(UserError, match=r"model\.onnx answers differently from the run on photo files, by"):
        export(trained_run, "onnx", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(usage, "_PHOTO", usage._PHOTO.replace("species[answer.argmax()]", "species[answer.argmin()]"))
    with pytest.raises(UserError, match=r"model\.onnx names other species than those of its probabilities"):
        export(trained_run, "onnx", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(onnx, "READ", "raise OSError('no such runtime')")
    with pytest.raises(UserError, match=r"onnxruntime cannot read what was written .* no such runtime"):
        export(trained_run, "onnx", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_whose_data_set_is_gone_is_compared_on_noise(trained_run: Path, tmp_path: Path) -> None:
    config = json.loads((trained_run / "config.json").read_text())
    gone = tmp_path / "run"
    gone.mkdir()
    (gone / "config.json").write_text(json.dumps(config | {"dataset": str(tmp_path / "gone")}))
    (gone / "checkpoints").symlink_to(trained_run / "checkpoints")
    written = export(gone, "onnx")
    assert (gone / "export" / "model.onnx").exists()
    assert written.card["check"]["of"] == "pictures of noise"
    assert verify.choose_samples(runs.read(gone)).images.shape == (32, 32, 32, 3)


def test_what_a_user_gets_wrong(trained_run: Path, tmp_path: Path, command: Command) -> None:
    line = ["--run", trained_run, "--format", "onnx", "--to"]
    assert_one_line_error(command("export", "--run", tmp_path), "no run in")
    assert_one_line_error(command("export", *line, tmp_path / "a.keras"), "has the suffix of another format")
    assert_one_line_error(command("export", *line, tmp_path, "--python", "/no/python"), "/no/python: No such file")
    assert_one_line_error(command("export", "--run", trained_run, "--format", "pickle"), "invalid choice: 'pickle'")
    with pytest.raises(UserError, match="unknown format 'none'"):
        export(trained_run, "none")
    assert not list(tmp_path.glob("*.onnx"))
