"""`python -m butterflyer_jax.train` as several processes of one run, as hosts of a cluster start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.commands.test_train import KILL_WITHIN_AN_EPOCH, final_arrays, records
from tests.conftest import ROOT, TINY_CONFIG, Command, assert_one_line_error, on_devices
from tests.helpers import gcs_server
from tests.helpers.fork_server import ForkServer
from tests.helpers.ports import free_port

NUM_PROCESSES = 2
# A process that lost the others must not wait for minutes.
SECONDS = 200
Together = Callable[..., "list[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def train_together(fork_server: ForkServer) -> Together:
    """Runs the command as two processes of two devices each; ends one that outlives the other's death."""

    def run(
        cache: Path, *arguments: object, vertex: bool = False, env: Mapping[str, str] | None = None
    ) -> list[subprocess.CompletedProcess[str]]:
        port = free_port()
        processes = []
        for number in range(NUM_PROCESSES):
            module, line = "butterflyer_jax.train", [*map(str, arguments)]
            environment = os.environ | {"BUTTERFLYER_CACHE": str(cache), **on_devices(2), **(env or {})}
            if env:
                module, line = "tests.helpers.quick_retries", [module, *line]
            if vertex:
                pools = {"workerpool0": [f"127.0.0.1:{port}"], "workerpool1": ["127.0.0.1:1"]}
                spec = {"cluster": pools, "task": {"type": f"workerpool{number}", "index": 0}}
                environment["CLUSTER_SPEC"] = json.dumps(spec)
            else:
                line += [f"--coordinator=127.0.0.1:{port}", f"--num_processes={NUM_PROCESSES}"]
                line += [f"--process_id={number}"]
            assert fork_server.can_run(environment)
            processes.append(fork_server.start(module, line, environment, ROOT))
        results = []
        for process in processes:
            if any(result.returncode == -signal.SIGKILL for result in results):
                # The machine that is left learns of it after a minute and a half.
                process.kill()
            results.append(process.wait(SECONDS))
        return results

    return run


@pytest.fixture(scope="module")
def run_of_two(
    train_together: Together, dataset: Path, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of an undisturbed run of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    line = ("--config", tiny_config, "--input", dataset, "--output", folder / "run")
    first, second = train_together(folder / "cache", *line)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "on 4 cpu, 8 steps" in first.stderr
    assert "\ndone: best val top1" in first.stdout
    # XLA's own words, of a slow compilation say, are nobody's.
    ours = ("data:", "run:", "step:", "memory:", "epoch ", "export:", "done:", "next:", "batch_size:")
    said = [line for line in (second.stdout + second.stderr).splitlines() if line.startswith(ours)]
    assert said == [], "one process speaks for all"
    return folder / "run"


def test_two_processes_learn_what_one_does(run_of_two: Path, trained_run: Path) -> None:
    ours, theirs = records(run_of_two), records(trained_run)
    assert [(line["split"], line["step"]) for line in ours] == [(line["split"], line["step"]) for line in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our["loss"] == pytest.approx(their["loss"], rel=1e-3)
        assert our.get("count") == their.get("count"), "each photo counts once"


def test_killed_and_started_again_ends_the_same(
    run_of_two: Path, train_together: Together, dataset: Path, tiny_config: Path, tmp_path: Path
) -> None:
    deadly = tmp_path / "deadly.py"
    deadly.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH)
    line = ("--input", dataset, "--output", tmp_path / "run")
    killed, _ = train_together(tmp_path / "cache", "--config", deadly, *line)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    first, second = train_together(tmp_path / "cache", "--config", tiny_config, *line, vertex=True)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "resuming from step 4 of 8" in first.stderr
    for one, other in zip(final_arrays(tmp_path / "run"), final_arrays(run_of_two), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(tmp_path / "run") == records(run_of_two)


@pytest.mark.gcs
def test_in_a_bucket_killed_and_started_again_ends_the_same(
    run_of_two: Path, train_together: Together, dataset: Path, tiny_config: Path, tmp_path: Path
) -> None:
    """Each process writes its part of a checkpoint, and one the log of the steps."""
    deadly = tmp_path / "deadly.py"
    deadly.write_text(TINY_CONFIG + KILL_WITHIN_AN_EPOCH)
    with gcs_server.serve() as server:
        # A third of what the test of the whole way endures.
        server.fault = lambda method, path, number: (
            gcs_server.now_and_then(method, path, number) if number % 240 < 80 else ""
        )
        line = ("--input", dataset, "--output", "gs://butterflies/run")
        killed, _ = train_together(tmp_path / "cache", "--config", deadly, *line, env=server.environment)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        # Or the next ones wait until the lock of the killed one is old.
        server.delete("butterflies/run/.lock")
        # On other machines, as far as their disks show.
        first, second = train_together(tmp_path / "others", "--config", tiny_config, *line, env=server.environment)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert "resuming from step 4 of 8" in first.stderr
        server.fault = gcs_server.no_fault
        run = server.download("butterflies/run", tmp_path / "run")
    for one, other in zip(final_arrays(run), final_arrays(run_of_two), strict=True):
        np.testing.assert_array_equal(one, other)
    assert records(run) == records(run_of_two)
    assert {path.name for path in (run / "checkpoints" / "8" / "variables").glob("ocdbt.process_*")} == {
        "ocdbt.process_0",
        "ocdbt.process_1",
    }
    assert not list((tmp_path / "others" / "runs").iterdir()), "the local sides of the run are gone"


def test_a_run_of_two_resumes_and_is_evaluated_alone(
    run_of_two: Path, dataset: Path, tiny_config: Path, command: Command
) -> None:
    evaluated = command("evaluate", "--run", run_of_two, "--split", "val")
    assert evaluated.returncode == 0, evaluated.stderr
    last = [line for line in records(run_of_two) if line["split"] == "val"]
    metrics = json.loads((run_of_two / "eval" / "val" / "metrics.json").read_text())
    assert metrics["loss"] == pytest.approx(
        min(line["loss"] for line in last if line["step"] == metrics["step"]), rel=1e-3
    )
    again = command("train", "--config", tiny_config, "--input", dataset, "--output", run_of_two)
    assert again.returncode == 0, again.stderr
    assert "resuming from step 8 of 8" in again.stderr


def test_half_a_place_is_one_line(tiny_config: Path, tmp_path: Path, command: Command) -> None:
    result = command(
        "train", "--config", tiny_config, "--input", "fake", "--output", tmp_path / "run", "--num_processes", 2
    )
    assert_one_line_error(result, "--coordinator, --num_processes and --process_id go together")
