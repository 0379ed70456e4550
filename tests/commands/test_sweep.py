"""Sweeps: a table of trials that several processes share, whatever happens to one of them."""

from __future__ import annotations

import csv
import signal
import sys
import threading
from pathlib import Path

import pytest
import yaml

from butterflyer_jax import UserError, sweep
from butterflyer_jax.config import CheckpointConfig, Config
from butterflyer_jax.config.search import Sweep, Uniform
from butterflyer_jax.training import study as study_lib
from butterflyer_jax.training import trial as trial_lib
from tests.conftest import TINY_CONFIG, Command, assert_one_line_error

SWEEP = """
from butterflyer_jax.config.search import Sweep, Uniform

def get_sweep():
    return Sweep(
        grid={"optim.name": ["sgd", "adamw"]},
        random={"optim.learning_rate": Uniform(1e-3, 1e-2, log=True), "model.head": ["gap", "fc"]},
        num_trials=1,
    )
"""
# Stands for the training command: writes evaluations as it does, so that a test takes no time.
TRAINER = """
import json, os, pathlib, signal, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
values = dict(word.removeprefix("--config.").split("=") for word in sys.argv if word.startswith("--config."))
folder = pathlib.Path(flags["--output"])
folder.mkdir(exist_ok=True)
with (folder / "started").open("a") as file:
    file.write("x")
def evaluate(step, top1):
    with (folder / "metrics.jsonl").open("a") as file:
        row = dict(step=step, split="val", top1=top1, top5=top1, balanced_accuracy=top1, loss=1 - top1)
        file.write(json.dumps(row) + chr(10))
"""
GOOD = """
if values["batch_size"] == "512":
    sys.exit("error: batch_size = 512 is more than the data set has")
evaluate(4, 0.5)
evaluate(8, int(values["batch_size"]) / 100)
"""
BATCHES = Sweep(grid={"batch_size": [8, 512, 4]})


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a program that is run in place of the training command."""
    path = tmp_path / "trainer.py"
    path.write_text(TRAINER + GOOD)
    monkeypatch.setattr(trial_lib, "TRAIN", (sys.executable, str(path)))
    monkeypatch.setattr(trial_lib, "POLL_SECONDS", 0.05)
    return path


def run(folder: Path, tried: Sweep = BATCHES, retry_failed: bool = False) -> list[dict[str, object]]:
    return sweep.run(tried, Config(), "config.py", "fake", str(folder), retry_failed=retry_failed)


def starts(folder: Path) -> dict[str, int]:
    return {path.parent.name: len(path.read_text()) for path in sorted(folder.glob("trial_*/started"))}


def test_a_trial_that_cannot_be_trained_is_a_row_with_its_error(trainer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    rows = run(folder)
    assert [row["trial"] for row in rows] == ["trial_000", "trial_002", "trial_001"]
    assert [row["state"] for row in rows] == ["complete", "complete", "failed"]
    assert [row.get("top1") for row in rows] == [0.5, 0.5, None]
    assert rows[2]["error"] == "batch_size = 512 is more than the data set has"
    table = [*csv.DictReader((folder / "results.csv").read_text().splitlines())]
    assert [row["batch_size"] for row in table] == ["8", "4", "512"]
    # The same call has nothing left to do, and tries failed ones again only with the flag.
    assert run(folder) == rows
    assert set(starts(folder).values()) == {1}
    trainer.write_text(TRAINER + "evaluate(4, 0.9)")
    assert [row["trial"] for row in run(folder, retry_failed=True)] == ["trial_001", "trial_000", "trial_002"]
    assert starts(folder) == {"trial_000": 1, "trial_001": 2, "trial_002": 1}


@pytest.mark.parametrize("metric", ["top5", "loss"])
def test_trials_are_ranked_by_the_metric_of_the_config(metric: str, trainer: Path, tmp_path: Path) -> None:
    config = Config(checkpoint=CheckpointConfig(metric=metric))
    rows = sweep.run(BATCHES, config, "config.py", "fake", str(tmp_path / "sweep"))
    assert [row["state"] for row in rows] == ["complete", "complete", "failed"]
    assert rows[0][metric] == 0.5


def test_a_sweep_of_failures_alone_is_an_error(trainer: Path, tmp_path: Path) -> None:
    trainer.write_text(TRAINER + "os.kill(os.getpid(), signal.SIGKILL)")
    config = tmp_path / "sweep.py"
    config.write_text(TINY_CONFIG + SWEEP)
    with pytest.raises(UserError, match="no trial could be trained, the first ended with: ended by SIGKILL"):
        sweep.main(["--config", str(config), "--input", "fake", "--output", str(tmp_path / "sweep")])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_trial_under_way_which_the_same_command_resumes(
    name: str, trainer: Path, tmp_path: Path
) -> None:
    trainer.write_text(
        TRAINER
        + f"""
def save(*_):
    (folder / "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
os.kill(os.getppid(), signal.{name})
time.sleep(60)
"""
    )
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    config = tmp_path / "sweep.py"
    config.write_text(TINY_CONFIG + SWEEP)
    line = ["--config", str(config), "--input", "fake", "--output", str(tmp_path / "sweep")]
    with pytest.raises(SystemExit) as ended:
        sweep.main(line)
    assert ended.value.code == 128 + signal.Signals[name]
    assert (tmp_path / "sweep" / "trial_000" / "saved").exists()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    trainer.write_text(TRAINER + "evaluate(4, 0.9)")
    sweep.main(line)
    assert starts(tmp_path / "sweep") == {"trial_000": 2, "trial_001": 1}


def test_processes_share_the_trials(trainer: Path, tmp_path: Path) -> None:
    tried = Sweep(random={"batch_size": Uniform(4, 64)}, num_trials=8, sampler="random")
    trainer.write_text(TRAINER + GOOD + "time.sleep(0.2)")
    workers = [threading.Thread(target=run, args=(tmp_path / "sweep", tried)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert starts(tmp_path / "sweep") == {f"trial_{number:03}": 1 for number in range(8)}
    table = [*csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines())]
    assert len(table) == 8
    # Whole numbers for an integer field, and another draw for each.
    assert len({int(row["batch_size"]) for row in table}) > 4
    # More trials may be asked for later.
    more = Sweep(random={"batch_size": Uniform(4, 64)}, num_trials=10, sampler="random")
    assert len(run(tmp_path / "sweep", more)) == 10


def test_a_trial_of_a_killed_process_is_resumed_once_its_training_has_ended(trainer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    study = study_lib.open_study(folder, BATCHES, Config(), ())
    study_lib.enqueue(study, BATCHES, retry_failed=False)
    found = study_lib.next_trial(study, folder, BATCHES, Config())
    assert found is not None
    trial, lock = found
    assert (trial.user_attrs["run"], trial.params) == ("trial_000", {"batch_size": 8})
    assert [row["trial"] for row in run(folder)] == ["trial_002", "trial_001"]
    lock.close()
    assert [row["trial"] for row in run(folder)] == ["trial_000", "trial_002", "trial_001"]


def test_a_bad_trial_is_pruned(trainer: Path, tmp_path: Path) -> None:
    tried = Sweep(grid={"batch_size": [64, 60, 58, 56, 54, 8]}, pruner="median")
    trainer.write_text(
        TRAINER
        + """
evaluate(4, int(values["batch_size"]) / 100)
if values["batch_size"] == "8":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    time.sleep(60)
"""
    )
    rows = run(tmp_path / "sweep", tried)
    assert [row["state"] for row in rows] == ["complete"] * 5 + ["pruned"]
    assert (rows[-1]["batch_size"], rows[-1]["top1"]) == (8, 0.08)


def test_the_sampler_learns(trainer: Path, tmp_path: Path) -> None:
    """Trials after the first ten come nearer to the best value."""
    trainer.write_text(TRAINER + "evaluate(4, 1 - abs(int(values['batch_size']) - 700) / 1000)")
    rows = run(tmp_path / "sweep", Sweep(random={"batch_size": Uniform(1, 1000)}, num_trials=16))
    errors = {str(row["trial"]): abs(int(str(row["batch_size"])) - 700) for row in rows}
    first, last = ([errors[f"trial_{n:03}"] for n in part] for part in (range(10), range(10, 16)))
    assert sum(last) / 6 < sum(first) / 10 / 2


def test_a_sweep_is_one_table_and_resumes(dataset: Path, tmp_path: Path, command: Command) -> None:
    config = tmp_path / "sweep.py"
    config.write_text(TINY_CONFIG + SWEEP)
    line = ["--config", config, "--input", dataset, "--output", tmp_path / "sweep", "--config.num_epochs=1"]
    first = command("sweep", *line, alone=True)
    assert first.returncode == 0, first.stderr
    rows = [*csv.DictReader((tmp_path / "sweep" / "results.csv").read_text().splitlines())]
    assert {row["optim.name"] for row in rows} == {"sgd", "adamw"}
    assert all(1e-3 <= float(row["optim.learning_rate"]) <= 1e-2 for row in rows)
    assert float(rows[0]["top1"]) >= float(rows[1]["top1"])
    again = command("sweep", *line)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert_one_line_error(command("sweep", *line, "--config.seed=1"), "holds another sweep, the overrides differ")

    for_wandb = command("sweep", *line, "--wandb_file", tmp_path / "wandb.yaml")
    assert for_wandb.returncode == 0, for_wandb.stderr
    content = yaml.safe_load((tmp_path / "wandb.yaml").read_text())
    assert content["method"] == "random"
    assert content["metric"] == {"name": "val/top1", "goal": "maximize"}
    assert content["parameters"]["config.optim.name"] == {"values": ["sgd", "adamw"]}
    assert content["parameters"]["config.optim.learning_rate"]["distribution"] == "log_uniform_values"
    assert content["command"][-2:] == ["--config.num_epochs=1", "${args}"]


def test_a_sweep_that_cannot_be_is_one_line(tiny_config: Path, tmp_path: Path) -> None:
    line = ["--input", "fake", "--output", str(tmp_path / "sweep")]
    with pytest.raises(UserError, match=r"must define get_sweep\(\)"):
        sweep.main(["--config", str(tiny_config), *line])
    config = tmp_path / "sweep.py"
    for old, new, reason in (
        ("optim.name", "optim.nane", "unknown config field optim.nane"),
        ("num_trials=1", "num_trials=0", "tries nothing"),
        ("num_trials=1", 'sampler="grid"', "no sampler 'grid': take one of tpe"),
        ("Uniform(1e-3, 1e-2", "Uniform(1e-2, 1e-3", "no values for optim.learning_rate"),
        ("model.head", "optim.name", "in grid and in random"),
    ):
        config.write_text(TINY_CONFIG + SWEEP.replace(old, new))
        with pytest.raises(UserError, match=reason):
            sweep.main(["--config", str(config), *line])
    config.write_text(TINY_CONFIG + SWEEP)
    with pytest.raises(UserError, match="keeps its trials on a disk"):
        sweep.main(["--config", str(config), "--input", "fake", "--output", "gs://bucket/sweep"])
    with pytest.raises(UserError, match=r"no such zip or folder: .*nowhere\.zip"):
        sweep.main(["--config", str(config), "--input", str(tmp_path / "nowhere.zip"), *line[2:]])
    assert not (tmp_path / "sweep").exists()
