"""A teacher: an ONNX network whose outputs the network learns before the run starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from butterflyer_jax import Config, UserError, load_config
from butterflyer_jax.config import DistillConfig
from butterflyer_jax.data.input.fake import FakeData
from butterflyer_jax.data.input.record_data import RecordData
from butterflyer_jax.training import distill
from butterflyer_jax.training.teacher import Teacher
from tests.conftest import Command

DIMENSIONS = 6


def write_teacher(path: Path, shape: tuple[object, ...] = ("n", 3, 40, 40), outputs: int = 1) -> Path:
    """Writes a network that gives the mean colours of an image, in several mixtures."""
    mixture = np.random.default_rng(0).normal(size=(3, DIMENSIONS)).astype(np.float32)
    axes = numpy_helper.from_array(np.array([2, 3] if shape[1] == 3 else [1, 2]), "axes")
    nodes = [helper.make_node("ReduceMean", ["images", "axes"], ["colour"], keepdims=0)]
    nodes += [helper.make_node("MatMul", ["colour", "mixture"], [f"embedding{n}"]) for n in range(outputs)]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    wanted = [
        helper.make_tensor_value_info(f"embedding{n}", TensorProto.FLOAT, (shape[0], DIMENSIONS))
        for n in range(outputs)
    ]
    graph = helper.make_graph(nodes, "mean", [given], wanted, [axes, numpy_helper.from_array(mixture, "mixture")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def config_of(tiny_config: Path, teacher: Path, **changes: object) -> Config:
    config = load_config(tiny_config)
    fields = {"teacher": str(teacher), "views": 64, "steps": 12, **changes}
    return dataclasses.replace(config, distill=DistillConfig(**fields)).validate()


@pytest.mark.parametrize("shape", [("n", 3, 40, 40), ("n", 40, 40, 3), (4, 3, "h", "w")])
def test_a_teacher_gives_an_output_for_each_image(shape: tuple[object, ...], tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "t.onnx", shape)
    own = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    teacher = Teacher(DistillConfig(teacher=str(path), image_size=40, **own))
    images = np.random.default_rng(1).integers(0, 256, (19, 40, 40, 3), np.uint8)
    outputs = teacher.outputs(iter(images), 19)
    mixture = np.random.default_rng(0).normal(size=(3, DIMENSIONS)).astype(np.float32)
    np.testing.assert_allclose(outputs, (images.mean(axis=(1, 2)) / 255 - 0.5) / 0.25 @ mixture, rtol=1e-4, atol=1e-5)


def test_what_is_no_teacher_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no network")
    several = write_teacher(tmp_path / "several.onnx", outputs=2)
    flat = write_teacher(tmp_path / "oblong.onnx", ("n", 3, 40, 30))
    wide = write_teacher(tmp_path / "wide.onnx", ("n", "h", 50, 3))
    vector = tmp_path / "vector.onnx"
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", 4)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "vector", given[:1], given[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), vector)
    for changes, message in (
        ({"teacher": "/nowhere.onnx"}, "no such file: /nowhere.onnx"),
        ({"teacher": str(bad)}, r"cannot read .*bad\.onnx as an ONNX network"),
        ({"teacher": str(several)}, "several outputs: set distill.output to one of embedding0, embedding1"),
        ({"teacher": str(several), "output": "x"}, r"distill\.output = 'x': .* has embedding0, embedding1"),
        ({"teacher": str(flat)}, "not a square"),
        ({"teacher": str(wide), "image_size": 40}, "not a square"),
        ({"teacher": str(vector)}, r"must have one input, images \[n, 3, h, w\] or \[n, h, w, 3\]"),
    ):
        with pytest.raises(UserError, match=message):
            Teacher(DistillConfig(**changes))
    assert Teacher(DistillConfig(teacher=str(several), output="embedding1")).image_size == 40


def test_targets_are_a_probe_and_the_main_directions() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 2))
    labels = (hidden[:, 0] > 0).astype(np.int32)
    # What is blended has no label, and may lie anywhere.
    known = np.where(np.arange(300) % 3, labels, -1)
    logits, directions = distill.targets((hidden @ rng.normal(size=(2, 200)) + 5).astype(np.float32), known, 2)
    assert directions.shape == (300, 128)
    assert directions.std() == pytest.approx(1, rel=1e-3)
    variances = directions.var(axis=0)
    assert variances[:2].sum() > 0.95 * variances.sum()
    assert (logits.argmax(axis=1) == labels).mean() > 0.95


def test_the_network_learns_the_teachers_outputs_once(
    dataset: Path,
    tiny_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    config = config_of(tiny_config, write_teacher(tmp_path / "t.onnx"), steps=40, learning_rate=1e-2)
    data, teacher = RecordData(dataset, config), Teacher(config.distill)
    first = distill.learn(config, data, {}, teacher)
    printed = capsys.readouterr().err
    assert "64 views of 36 training images" in printed
    now, start = _losses(printed)
    assert now < 0.8 * start
    assert first["/logits/kernel"].shape[1] == first["/logits/bias"].shape[0] == len(data.species)
    again = distill.learn(config, data, {}, teacher)
    assert "distill, steps" not in capsys.readouterr().err
    assert first.keys() == again.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, again[path])

    # It starts from the values that it is given: at a rate of zero they stay.
    config.distill.learning_rate, config.distill.steps = 0.0, 1
    kept = distill.learn(config, data, first, teacher)
    for path, value in first.items():
        if not path.endswith(("/mean", "/var")):
            np.testing.assert_array_equal(value, kept[path], err_msg=path)
    with pytest.raises(UserError, match="input fake holds no images"):
        distill.learn(config, FakeData(config), {}, teacher)
    data.close()


def _losses(printed: str) -> tuple[float, float]:
    line = next(line for line in printed.splitlines() if "unexplained variance" in line)
    now, start = line.replace(",", "").split("outputs ")[1].split(" at the start ")
    return float(now), float(start)


def test_a_run_starts_from_what_the_teacher_taught(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    teacher = write_teacher(tmp_path / "t.onnx")
    options = (f"--config.distill.teacher={teacher}", "--config.distill.views=32", "--config.distill.steps=3")
    arguments = ("--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", *options)
    result = command("train", *arguments, "--config.num_epochs=1")
    assert result.returncode == 0, result.stderr
    assert f"distill: 32 views of 36 training images for {teacher}" in result.stderr
    teacher.unlink()
    # A run that is resumed does not need its teacher again.
    result = command("train", *arguments, "--config.num_epochs=1")
    assert result.returncode == 0, result.stderr


def test_a_teacher_that_is_missing_is_reported_before_the_data_set_is_built(tmp_path: Path, command: Command) -> None:
    photos = tmp_path / "photos.zip"
    photos.write_bytes(b"no zip either")
    result = command("train", "--config", "distill", "--input", photos, "--output", tmp_path / "run")
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].endswith("config field distill.teacher: no such file: teacher.onnx")
    assert not (tmp_path / "run").exists()
