"""All in a bucket, through the commands: raw zip, records, run, checkpoints, on a network that fails now and then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from butterflyer_jax.data import photo
from tests.commands.test_train import KILL_WHILE_SAVING, KILL_WITHIN_AN_EPOCH, final_arrays, records
from tests.conftest import ROOT, SPECIES, TINY_CONFIG, Command, assert_one_line_error, make_photo
from tests.helpers import gcs_server
from tests.helpers.fork_server import ForkServer

pytestmark = pytest.mark.gcs

RUN = "gs://butterflies/runs/first"
BUILD = {"archive": "gs://butterflies/raw.zip", "image_size": 48, "val_fraction": 0.2, "test_fraction": 0.2}
SECONDS = 280


@pytest.fixture(scope="module")
def server(raw_zip: Path) -> Iterator[gcs_server.Gcs]:
    with gcs_server.serve() as server:
        server.put("butterflies/raw.zip", raw_zip.read_bytes())
        yield server


@pytest.fixture(autouse=True)
def healthy(server: gcs_server.Gcs) -> Iterator[None]:
    yield
    server.fault = gcs_server.no_fault


def test_from_a_raw_zip_to_an_exported_network_on_a_shaky_network(
    server: gcs_server.Gcs,
    command: Command,
    fork_server: ForkServer,
    tiny_config: Path,
    trained_run: Path,
    tmp_path: Path,
) -> None:
    """Killed within an epoch and while saving; in the end everything is as if it had run undisturbed on a disk."""
    server.fault = gcs_server.now_and_then
    environment = server.environment
    tfds = ("tensorflow_datasets.scripts.cli.main", "build", "butterflyer_jax/data/butterflies")
    line = (*tfds, "--data_dir", "gs://butterflies/data", "--config", json.dumps(BUILD))
    own = {**os.environ, **environment, "BUTTERFLYER_CACHE": str(tmp_path / "cache")}
    built = fork_server.run("tests.helpers.quick_retries", line, own, ROOT, SECONDS)
    assert built.returncode == 0, built.stderr
    assert not [name for name in server.names("butterflies/data") if "incomplete" in name]

    # A job's config lies in the run folder before the run does.
    server.put("butterflies/runs/first/.launch/tiny.py", tiny_config.read_bytes())
    configs = {
        "dies": tmp_path / "dies.py",
        "dies later": tmp_path / "dies_later.py",
        "lives": f"{RUN}/.launch/tiny.py",
    }
    configs["dies"].write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH)
    configs["dies later"].write_text(TINY_CONFIG + KILL_WHILE_SAVING)
    for number, (name, going_on) in enumerate({"dies": 0, "dies later": 4, "lives": 4}.items()):
        # Each time on another machine, as far as its disk shows.
        result = command(
            *("train", "--config", configs[name], "--input", "gs://butterflies/data", "--output", RUN),
            env={**environment, "BUTTERFLYER_CACHE": str(tmp_path / f"cache{number}")},
            timeout=SECONDS,
        )
        assert result.returncode == (0 if name == "lives" else -signal.SIGKILL), result.stderr
        assert not going_on or f"resuming from step {going_on} of 8" in result.stderr
        # Or the next machine waits until the lock of the killed one is old.
        assert (f"{RUN}/.lock".removeprefix("gs://") in server.names("butterflies/runs")) == (name != "lives")
        server.delete(f"{RUN}/.lock".removeprefix("gs://"))
    evaluated = command("evaluate", "--run", RUN, env=environment, timeout=SECONDS)
    assert evaluated.returncode == 0, evaluated.stderr
    exported = command(
        *("export", "--run", RUN, "--format", "onnx", "--to", "gs://butterflies/exported"),
        env=environment,
        timeout=SECONDS,
    )
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith("wrote gs://butterflies/exported/model.onnx, ")
    assert set(server.faults) >= {"503", "429", "drop", "lose", "slow"}, "nothing was disturbed"

    server.fault = gcs_server.no_fault
    run = server.download("butterflies/runs/first", tmp_path / "downloaded")
    assert records(run) == records(trained_run), "no line twice, none missing"
    for ours, theirs in zip(final_arrays(run), final_arrays(trained_run), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert json.loads((run / "eval" / "test" / "metrics.json").read_text())["count"] == 12
    assert not list((tmp_path / "cache2" / "runs").iterdir()), "the local side of the run is gone"

    (tmp_path / "photo.jpg").write_bytes(make_photo(1))
    server.put("butterflies/photo.jpg", make_photo(1))
    predicted = command(
        "predict", "--run", RUN, tmp_path / "photo.jpg", "gs://butterflies/photo.jpg", env=environment, timeout=SECONDS
    )
    assert predicted.returncode == 0, predicted.stderr
    here, there = (json.loads(line) for line in predicted.stdout.splitlines())
    assert here["probabilities"] == there["probabilities"]
    card = json.loads(server.get("butterflies/exported/model.onnx.card.json"))
    assert (card["step"], card["check"]["of"], card["check"]["same_species"]) == (8, "test photos", 12)
    assert server.get("butterflies/exported/model.onnx.species.txt").decode().splitlines() == list(SPECIES)
    assert len(server.names("butterflies/exported")) == 4
    image = photo.central_crop(photo.load(make_photo(1), 48, 10**6)[0], 0.9, 32)
    session = onnxruntime.InferenceSession(server.get("butterflies/exported/model.onnx"))
    [answer] = session.run(None, {"image": image[None]})
    np.testing.assert_allclose(answer[0], [here["probabilities"][name] for name in SPECIES], atol=2e-6)
    # Of another config, or in the middle of other things, there is no run to resume.
    other = command(
        *("train", "--config", tiny_config, "--input", "fake", "--output", RUN, "--config.seed=5"), env=environment
    )
    assert_one_line_error(other, "holds a run of another config")
    other = command(
        "train", "--config", tiny_config, "--input", "fake", "--output", "gs://butterflies", env=environment
    )
    assert_one_line_error(other, "is not empty and holds no run")


def test_what_a_bucket_refuses_is_one_line(server: gcs_server.Gcs, command: Command, tiny_config: Path) -> None:
    environment = server.environment

    def train(source: str, output: str, **more: str) -> subprocess.CompletedProcess[str]:
        line = ("train", "--config", tiny_config, "--input", source, "--output", output)
        return command(*line, env={**environment, **more}, timeout=SECONDS)

    assert_one_line_error(train("gs://nowhere/data", "gs://butterflies/runs/x"), "no such bucket: gs://nowhere")
    assert_one_line_error(train("gs://nowhere/raw.zip", "gs://butterflies/runs/x"), "gs://nowhere")
    assert_one_line_error(train("fake", "gs://nowhere/runs/x"), "no such bucket: gs://nowhere")
    assert_one_line_error(train("gs://butterflies/none", "gs://butterflies/runs/x"), "no such input")
    assert_one_line_error(command("evaluate", "--run", "gs://nowhere/run", env=environment), "no such bucket")
    assert_one_line_error(command("evaluate", "--run", "gs://butterflies/no", env=environment), "no run in gs://")
    no_config = ("train", "--config", "gs://butterflies/no.py", "--input", "fake", "--output", "gs://butterflies/x")
    assert_one_line_error(command(*no_config, env=environment), "no such file: gs://butterflies/no.py")

    server.fault = lambda method, path, number: "403"
    assert_one_line_error(train("fake", "gs://butterflies/runs/x"), "no permission to read gs://butterflies/runs/x")
    server.fault = lambda method, path, number: "401"
    assert_one_line_error(train("fake", "gs://butterflies/runs/x"), "no valid Google credentials to read gs://")
    # Reading is allowed, writing is not.
    server.fault = lambda method, path, number: "403" if method != "GET" else ""
    assert_one_line_error(train("fake", "gs://butterflies/runs/x"), "no permission to write gs://butterflies/runs/x")
    assert not server.names("butterflies/runs/x")


def test_a_network_that_is_gone_is_one_line(command: Command, tiny_config: Path) -> None:
    line = ("train", "--config", tiny_config, "--input", "fake", "--output", "gs://butterflies/runs/x")
    result = command(*line, env=gcs_server.environment(1), timeout=SECONDS)
    assert_one_line_error(result, "cannot reach gs://butterflies/runs/x", "check the network")


def test_rights_that_go_while_training_leave_a_run_to_resume(
    server: gcs_server.Gcs, command: Command, tiny_config: Path
) -> None:
    """From the moment on that the first of two checkpoints is whole."""
    first = "butterflies/runs/gone/checkpoints/100/commit_success.txt"
    gone = []

    def fault(method: str, path: str, number: int) -> str:
        if method == "GET":
            return ""
        if not gone and server.names(first):
            gone.append(number)
        return "403" if gone else ""

    server.fault = fault
    line = ("train", "--config", tiny_config, "--input", "fake", "--output", "gs://butterflies/runs/gone")
    broken = command(*line, env=server.environment, timeout=SECONDS)
    assert_one_line_error(broken, "no permission to write gs://butterflies/runs/gone")
    server.fault = gcs_server.no_fault
    again = command(*line, env=server.environment, timeout=SECONDS)
    assert again.returncode == 0, again.stderr
    assert "resuming from step 100 of 200" in again.stderr
