"""`python -m butterflyer_jax.train`: as a user types it, killed as a machine kills it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from butterflyer_jax import extras
from tests.conftest import QUICKLY_COMPILED, SPECIES, TINY_CONFIG, Command, assert_one_line_error, on_devices

SPEEDS = {"step_ms", "images_per_second", "images_per_second_per_device", "tflops_per_device", "mfu"}
TIMES = {*SPEEDS, "data_wait", "host_memory_mib"}

# The config file is Python: it can arrange that the process gets a real SIGKILL at an exact moment.
KILL_WITHIN_AN_EPOCH = """
import os, signal
from butterflyer_jax import tracking
from butterflyer_jax.runs import checkpoint
save, log = checkpoint.Checkpointer.save, tracking.JsonlTracker.log
def save_to_the_end(self, *args):
    save(self, *args)
    self.wait()
def log_and_die(self, record):
    log(self, record)
    if record["step"] == 6 and record["split"] == "train":
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Checkpointer.save = save_to_the_end
tracking.JsonlTracker.log = log_and_die
"""
KILL_WHILE_SAVING = """
import os, signal
from butterflyer_jax.runs import checkpoint
save = checkpoint.Checkpointer.save
def save_and_die(self, step, *args):
    save(self, step, *args)
    if step == 8:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Checkpointer.save = save_and_die
"""
# What kills, overrides of the config, and the step from which the run resumes.
KILLS = {
    "within an epoch, decoding each": (KILL_WITHIN_AN_EPOCH, ["data.mode=jpeg", "checkpoint.every_steps=5"], 5),
    "while saving": (KILL_WHILE_SAVING, ["data.mode=raw"], 4),
}


def final_arrays(run: Path) -> list[np.ndarray]:
    import orbax.checkpoint as ocp

    last = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name))
    assert last.name == "8"
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    arrays = []
    for item in ("variables", "optimizer"):
        checkpointer = ocp.StandardCheckpointer()
        shapes = checkpointer.metadata(last / item).item_metadata
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), dict(shapes.items()))
        arrays += [np.asarray(x) for x in jax.tree.leaves(checkpointer.restore(last / item, target))]
    return arrays


def records(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def test_a_run_folder_holds_what_is_promised(trained_run: Path) -> None:
    config = json.loads((trained_run / "config.json").read_text())
    assert config["config"]["model"]["variant"] == "vgg11"
    assert config["species"] == list(SPECIES)
    assert {"jax", "flax", "butterflyer_jax"} <= set(config["versions"])

    lines = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["split"], line["step"]) for line in lines] == [
        *[("train", step) for step in (1, 2, 3, 4)],
        ("val", 4),
        *[("train", step) for step in (5, 6, 7, 8)],
        ("val", 8),
    ]
    wanted = {"step", "epoch", "split", "loss", "top1", "gradient_norm", "learning_rate", *TIMES}
    assert set(lines[0]) == wanted
    assert {"count", "loss", "top1", "top5", "balanced_accuracy"} <= set(lines[4])
    assert lines[4]["count"] == 12
    assert all(
        line["images_per_second"] > 0 and 0 <= line["data_wait"] <= 1 for line in lines if line["split"] == "train"
    )


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_started_again_ends_bit_for_bit_the_same(
    moment: str, trained_run: Path, dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    kill, overrides, step = KILLS[moment]
    deadly = tmp_path / "deadly.py"
    deadly.write_text(TINY_CONFIG + kill)
    run = tmp_path / "run"
    line = ["--input", dataset, "--output", run, *(f"--config.{override}" for override in overrides)]
    killed = command("train", "--config", deadly, *line)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    # However photos are kept, batches are the same: a run may resume in another way.
    again = command("train", "--config", tiny_config, *line, "--config.data.mode=auto", "--config.data.num_threads=1")
    assert again.returncode == 0, again.stderr
    assert f"resuming from step {step} of 8" in again.stderr
    for one, other in zip(final_arrays(trained_run), final_arrays(run), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(run) == records(trained_run)


def test_a_finished_run_is_left_as_it_is(trained_run: Path, dataset: Path, tiny_config: Path, command: Command) -> None:
    before = (trained_run / "metrics.jsonl").read_text()
    again = command("train", "--config", tiny_config, "--input", dataset, "--output", trained_run)
    assert again.returncode == 0, again.stderr
    assert "done: best val top1" in again.stdout
    assert (trained_run / "metrics.jsonl").read_text() == before


def test_another_config_on_the_same_folder_is_refused_with_the_difference(
    trained_run: Path, dataset: Path, tiny_config: Path, command: Command
) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained_run.rglob("*")}
    result = command(
        "train",
        "--config",
        tiny_config,
        "--input",
        dataset,
        "--output",
        trained_run,
        "--config.optim.learning_rate=0.5",
    )
    assert_one_line_error(result, "optim.learning_rate was 0.001, is 0.5", "another --output")
    assert {path: path.stat().st_mtime_ns for path in trained_run.rglob("*")} == before


def test_evaluate_and_predict_a_run(trained_run: Path, raw_zip: Path, tmp_path: Path, command: Command) -> None:
    result = command("evaluate", "--run", trained_run, alone=True)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((trained_run / "eval" / "test" / "metrics.json").read_text())
    assert metrics["count"] == 12
    assert {"loss", "top1", "top5", "balanced_accuracy", "expected_calibration_error"} <= set(metrics)
    assert list(metrics["species"]) == list(SPECIES)
    assert sum(row["support"] for row in metrics["species"].values()) == 12
    assert metrics["intervals"]["top1"][0] <= metrics["top1"] <= metrics["intervals"]["top1"][1]
    assert json.loads((trained_run / "calibration.json").read_text())["count"] == 12
    page = (trained_run / "report" / "index.html").read_text()
    # Names out of the zip, found without reading a record.
    assert re.search(r"(Blue Stripe|Green Dot|Red Edge)/0\d\d\.jpg", page)
    assert f"test: top1 {metrics['top1']:.1%}" in result.stdout
    # What the loop wrote of the best checkpoint is what the command finds in it.
    assert command("evaluate", "--run", trained_run, "--split", "val").returncode == 0
    val = json.loads((trained_run / "eval" / "val" / "metrics.json").read_text())
    [line] = [r for r in records(trained_run) if r["split"] == "val" and r["step"] == val["step"]]
    assert {name: val[name] for name in ("count", "loss", "top1", "top5")} == {
        name: line[name] for name in ("count", "loss", "top1", "top5")
    }

    with zipfile.ZipFile(raw_zip) as archive:
        names = archive.namelist()[:3]
        archive.extractall(tmp_path, names)
    (tmp_path / "broken.jpg").write_text("hello")
    good = [tmp_path / name for name in names]
    images = (good[0], tmp_path / "broken.jpg", tmp_path / "none.jpg", *good[1:])
    result = command("predict", "--run", trained_run, *images, alone=True)
    assert result.returncode == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [a["image"] for a in answers] == [*map(str, images)]
    assert "not decodable" in answers[1]["error"]
    assert answers[2]["error"].startswith("no such file: ")
    assert_one_line_error(result, "2 of 5 images could not be read")
    assert re.search(r"5 images in [\d.]+ s, [\d.]+ images/s", result.stderr)
    for answer in (answers[0], *answers[3:]):
        assert set(answer["probabilities"]) == set(SPECIES)
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert answer["top5"][0] == {"species": answer["species"], "probability": answer["probability"]}
        assert answer["probability"] == max(answer["probabilities"].values())


def test_predictions_are_those_of_evaluation(trained_run: Path, dataset: Path) -> None:
    """The same photos through records and TensorFlow, and through Pillow: the same probabilities, nearly."""
    import tensorflow_datasets as tfds

    from butterflyer_jax import Predictor
    from butterflyer_jax.inference.classifier import TrainedClassifier

    builder = tfds.builder_from_directory(str(dataset))
    jpegs = tfds.as_numpy(builder.as_dataset(split="test", decoders={"image": tfds.decode.SkipDecoding()}))
    records = [(record["image"], SPECIES[record["label"]]) for record in jpegs]
    # The loss is that of the network's own probabilities.
    predictor = Predictor(TrainedClassifier.load(trained_run, calibrated=False))
    answers = predictor.predict([image for image, _ in records])
    losses = [-np.log(answer["probabilities"][species]) for answer, (_, species) in zip(answers, records, strict=True)]

    from butterflyer_jax.evaluation.evaluate import evaluate

    assert np.mean(losses) == pytest.approx(evaluate(trained_run, "test")["loss"], rel=0.02)


def test_a_predictor_takes_paths_bytes_images_and_arrays(trained_run: Path, tmp_path: Path) -> None:
    from PIL import Image

    from butterflyer_jax import Predictor
    from tests.conftest import make_photo

    path = tmp_path / "photo.jpg"
    path.write_bytes(make_photo(5))
    image = Image.open(path)
    answers = Predictor.load(trained_run).predict([path, str(path), path.read_bytes(), image, np.asarray(image)])
    assert all(answer == answers[0] for answer in answers)
    assert Predictor.load(trained_run).predict([]) == []
    [answer] = Predictor.load(trained_run).predict([np.zeros((8, 8, 3))])
    assert answer["error"].startswith("an array must be uint8")


def test_a_raw_zip_is_built_once_and_reused(raw_zip: Path, tiny_config: Path, tmp_path: Path, command: Command) -> None:
    arguments = ["--config", tiny_config, "--input", raw_zip, "--config.num_epochs=1"]
    # As people type it: relative to where they are.
    first = command("train", *arguments, "--output", "one", cwd=tmp_path, alone=True)
    assert first.returncode == 0, first.stderr
    assert "preparing photos: 60 of 60" in first.stderr
    assert "epoch 1/1" in first.stderr
    assert "next: butterflyer evaluate" in first.stdout
    assert command("evaluate", "--run", "one", cwd=tmp_path).returncode == 0
    arguments[3] = raw_zip.name
    assert "warm-up" not in first.stderr
    other = ["--output", tmp_path / "two", "--config.optim.warmup_epochs=1.5"]
    second = command("train", *arguments, *other, cwd=raw_zip.parent)
    assert second.returncode == 0, second.stderr
    assert "preparing" not in second.stderr
    assert "the warm-up of 1.5 epochs (optim.warmup_epochs) is longer than the training (num_epochs=1)" in second.stderr


def test_fake_data_trains_where_there_is_no_tensorflow(tiny_config: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['tensorflow', 'tensorflow_datasets']))\n"
        "from butterflyer_jax import train\n"
        f"train.main(['--config', {str(tiny_config)!r}, '--input', 'fake', '--output', {str(tmp_path / 'run')!r},\n"
        "            '--config.num_epochs=1', '--config.data.image_size=32', '--config.export.format=keras'])\n"
    )
    env = os.environ | QUICKLY_COMPILED
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stderr
    assert "100 species in fake" in result.stderr
    needs = f"format keras needs tensorflow; install it with: {extras.install_command('export')}"
    assert f"export: none, {needs}" in result.stderr


def test_a_batch_size_is_found_and_kept(tiny_config: Path, tmp_path: Path, command: Command) -> None:
    line = ["--config", tiny_config, "--input", "fake", "--output", tmp_path / "run", "--config.batch_size=0"]
    trace = ["--config.num_epochs=1", "--config.profile.start_step=3", "--config.profile.num_steps=2"]
    first = command("train", *line, *trace, "--config.deterministic=true", env=QUICKLY_COMPILED)
    assert first.returncode == 0, first.stderr
    # Of 800 photos, eight a step while nothing is known, a tenth.
    assert "batch_size: 80, found for 1 device(s)" in first.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["batch_size"] == 80
    assert len(list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))) == 1

    again = command("train", *line, "--config.num_epochs=1", "--config.deterministic=true", env=QUICKLY_COMPILED)
    assert again.returncode == 0, again.stderr
    assert "found for" not in again.stderr
    assert "resuming from step 100 of 100" in again.stderr


def test_too_few_photos_for_a_batch_of_any_size(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", "--config.batch_size=0"]
    said = "the smallest batch for these devices is 8, and the largest allowed one 3"
    assert_one_line_error(command("train", *line), said)
    assert not (tmp_path / "run").exists()


def test_layouts_may_change_when_a_run_resumes(
    dataset: Path, tiny_config: Path, tmp_path: Path, command: Command
) -> None:
    """Checkpoints of float16 with fsdp and a model axis on eight devices; the second epoch on one device."""
    line = ["--config", tiny_config, "--input", dataset, "--output", tmp_path / "run", "--config.precision=float16"]
    line += ["--config.model.head=fc", "--config.checkpoint.every_steps=4"]
    split = ["--config.parallel.fsdp=true", "--config.parallel.model_devices=2", "--config.model.remat=blocks"]
    deadly = tmp_path / "deadly.py"
    deadly.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH)
    eight = on_devices(8, QUICKLY_COMPILED["XLA_FLAGS"])
    killed = command("train", *["--config", deadly, *line[2:]], *split, env=eight)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = command("train", *line, env=QUICKLY_COMPILED)
    assert again.returncode == 0, again.stderr
    assert "resuming from step 4 of 8" in again.stderr
    assert [line["step"] for line in records(tmp_path / "run") if line["split"] == "val"] == [4, 8]
