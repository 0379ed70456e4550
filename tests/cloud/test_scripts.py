"""Manifests for Kubernetes and batch scripts for Slurm: what `launch` prints, by schema and by running it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies
import jsonschema
import pytest
import yaml

from butterflyer_jax import UserError
from butterflyer_jax.cloud import render
from butterflyer_jax.distributed import processes
from tests.cloud import jobs
from tests.conftest import ROOT, Command

KUBERNETES = jobs.SCRIPTS["scripts/jobset.yaml"]
SLURM = jobs.SCRIPTS["scripts/train.sbatch"]
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "jobset.json").read_text())


def manifest(*flags: str) -> dict[str, Any]:
    """Returns the JobSet that the command prints, validated."""
    made = yaml.safe_load(jobs.printed([*KUBERNETES, *flags])[0])
    jsonschema.validate(made, SCHEMA)
    return made


def job_of(made: dict[str, Any]) -> dict[str, Any]:
    [group] = made["spec"]["replicatedJobs"]
    return group["template"]["spec"]


def arguments_of(made: dict[str, Any]) -> list[str]:
    [container] = job_of(made)["template"]["spec"]["containers"]
    return container["args"]


@pytest.mark.parametrize("name", jobs.SCRIPTS)
def test_the_scripts_are_what_the_command_prints(name: str) -> None:
    """`python -m tests.cloud.jobs` rewrites them."""
    out, err = jobs.printed(jobs.SCRIPTS[name])
    assert (ROOT / name).read_text() == out
    assert not err
    # The command in its head is the one that made it.
    command = out.split("Made by:\n#   ")[1].splitlines()[0]
    assert shlex.split(command)[2:] == jobs.SCRIPTS[name]


def test_the_manifest_is_a_jobset_whose_pods_find_each_other() -> None:
    made = manifest()
    [group] = made["spec"]["replicatedJobs"]
    job = job_of(made)
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"] == 4
    [container] = job["template"]["spec"]["containers"]
    words = container["args"]
    flags = dict(zip(words[::2], words[1::2], strict=True))
    name, subdomain = made["metadata"]["name"], made["spec"]["network"]["subdomain"]
    assert flags["--coordinator"] == f"{name}-{group['name']}-0-0.{subdomain}:2222"
    assert flags["--process_id"] == "$(JOB_COMPLETION_INDEX)"
    assert processes.from_flags(flags["--coordinator"], int(flags["--num_processes"]), 3) is not None
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in job["template"]["spec"]["volumes"]}


def test_a_pod_of_one_host_trains(tiny_config: Path, tmp_path: Path, command: Command) -> None:
    """Kubernetes sets JOB_COMPLETION_INDEX in every pod of an Indexed Job: JAX would look for other pods."""
    words = arguments_of(manifest("--hosts", "1", "--config.num_epochs=1", "--config.batch_size=8"))
    assert words[-2:] == ["--num_processes", "1"]
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "JOB_COMPLETION_INDEX": "0"}
    here = {
        "/config/vgg16.py": str(tiny_config),
        "gs://my-bucket/data": "fake",
        "gs://my-bucket/runs/vgg16": str(tmp_path / "run"),
    }
    trained = command("train", *(here.get(word, word) for word in words), env=pod)
    assert trained.returncode == 0, trained.stderr


def test_what_a_restart_cannot_mend_ends_the_jobset() -> None:
    made = manifest()
    [rule] = job_of(made)["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "train", "operator": "In", "values": [UserError.exit_code]},
    }
    [of_set] = made["spec"]["failurePolicy"]["rules"]
    assert (of_set["action"], of_set["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])


def test_names_fit_the_limit_of_jobset() -> None:
    """The longest pod name is NAME-host-0-INDEX-abcde, a DNS label of 63 letters."""
    for hosts, longest in (("1", 48), ("4", 48), ("16", 47)):
        more = ["--hosts", hosts, "--config.batch_size=0"]
        name = manifest(*more, "--name", "x" * longest)["metadata"]["name"]
        assert len(f"{name}-host-0-{int(hosts) - 1}-abcde") == 63
        with pytest.raises(UserError, match=f"at most {longest} letters"):
            manifest(*more, "--name", "x" * (longest + 1))
    manifest("--output", f"gs://my-bucket/{'long-name/' * 3}{'x' * 200}", "--hosts", "512", "--config.batch_size=0")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--service_account", "a@b.iam.gserviceaccount.com"], "service account of the cluster"),
        (["--label", "team=-"], "a letter or digit stands at both ends"),
        (["--wandb_secret", "wandb"], "--wandb_secret has no effect with --on kubernetes"),
        (["--output", "runs/here"], "give gs://BUCKET"),
    ],
)
def test_what_a_cluster_would_refuse_or_not_see_is_an_error(flags: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        jobs.printed([*KUBERNETES, *flags])
    with pytest.raises(UserError, match="--spot has no effect with --on slurm"):
        jobs.printed([*SLURM, "--spot"])


def test_a_config_needs_a_name_that_a_config_map_takes(tmp_path: Path) -> None:
    config = tmp_path / "my config.py"
    config.write_bytes((ROOT / "configs" / "vgg16.py").read_bytes())
    with pytest.raises(UserError, match="a ConfigMap needs a file name"):
        manifest("--config", str(config))


@hypothesis.given(hypothesis.strategies.text(hypothesis.strategies.characters(codec="utf-8", exclude_categories=["C"])))
@hypothesis.example("no")
@hypothesis.example("y")
@hypothesis.example("1e3")
@hypothesis.example("0o7")
@hypothesis.example("a: b # c")
def test_text_stays_text_in_every_yaml(text: str) -> None:
    """YAML 1.1 and 1.2 differ in what is a number or a bool: all but plain words are quoted."""
    [line] = render.to_yaml({"a": text}).splitlines()
    assert yaml.safe_load(line) == {"a": text}
    assert line[3] == '"' or render.PLAIN.fullmatch(text)


def test_what_kubernetes_would_replace_is_escaped() -> None:
    made = manifest("--env", "A=$(B)", "--config.tracking.wandb_name=$(HOME)")
    [container] = job_of(made)["template"]["spec"]["containers"]
    assert {"name": "A", "value": "$$(B)"} in container["env"]
    assert "--config.tracking.wandb_name=$$(HOME)" in container["args"]


def test_a_command_of_several_lines_stays_in_the_comment() -> None:
    line = [*SLURM, "--config.tracking.wandb_name=a\nrm -rf x"]
    with pytest.raises(UserError, match="printed"):
        jobs.printed(line)
    out, _ = jobs.printed([*SLURM, "--env", "A=a\nexit 7"])
    assert "\nexit 7'" in out
    assert "#   exit 7'" in out


# Stand in for Slurm: srun runs the command, scancel signals it, scontrol notes its arguments.
TOOLS = {
    "srun": 'shift; echo $$ >"$SLURM_SUBMIT_DIR/pid"; exec "$@"',
    "scancel": '[ "$*" = "--signal=TERM 7" ] && kill -TERM "$(cat "$SLURM_SUBMIT_DIR/pid")"',
    "scontrol": 'echo "$*" >>"$SLURM_SUBMIT_DIR/scontrol"',
    "python": 'echo "$@" >"$SLURM_SUBMIT_DIR/started"; trap "exit 143" TERM; '
    '[ -n "${CODE:-}" ] && exit "$CODE"; sleep 30 & wait $!',
}


def run_batch(folder: Path, notice: bool, **variables: str) -> tuple[int, str]:
    """Runs the batch script with stand-ins; returns its exit code and what scontrol was asked."""
    script = folder / "train.sbatch"
    script.write_text(jobs.printed([*SLURM, "--env", "GREETING=a 'b' $c", "--config.num_epochs=3"])[0])
    for name, text in TOOLS.items():
        tool = folder / (".venv/bin/python" if name == "python" else f"bin/{name}")
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(f"#!/usr/bin/env bash\n{text}\n")
        tool.chmod(0o755)
    environment = {
        **os.environ,
        **variables,
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": "7",
    }
    process = subprocess.Popen(["bash", str(script)], env=environment, cwd="/")
    if notice:
        deadline = time.monotonic() + 120
        while not (folder / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
    code = process.wait(120)
    asked = folder / "scontrol"
    return code, asked.read_text() if asked.exists() else ""


def test_the_batch_script_starts_one_process_a_node(tmp_path: Path) -> None:
    text = (ROOT / "scripts" / "train.sbatch").read_text()
    assert "#SBATCH --ntasks-per-node=1\n" in text
    assert "JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7\n" in text
    assert processes.jax_finds_others({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "n[0-3]"})
    assert run_batch(tmp_path, notice=False, CODE="0") == (0, "")
    train = "-m butterflyer_jax.train --config configs/vgg16.py --input data --output runs/vgg16"
    assert (tmp_path / "started").read_text() == f"{train} --config.num_epochs=3\n"


@pytest.mark.parametrize(
    ("notice", "code", "requeued"), [(True, "", True), (False, "75", True), (False, "2", False), (False, "143", False)]
)
def test_a_batch_job_requeues_itself_after_its_time_limit_alone(
    notice: bool, code: str, requeued: bool, tmp_path: Path
) -> None:
    """143 without the notice is scancel: what a person ends stays ended."""
    ended, asked = run_batch(tmp_path, notice, CODE=code)
    assert ended == (143 if notice else int(code))
    assert asked == ("requeue 7\n" if requeued else "")


def test_a_node_may_have_any_number_of_gpus() -> None:
    line = ["3" if word == "8" else word for word in SLURM]
    assert "--gpus-per-node=3" in jobs.printed([*line, "--config.batch_size=24"])[0]
