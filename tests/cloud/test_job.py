"""The job that `launch` makes, against files that were looked at and against Google's own client."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from butterflyer_jax import UserError, cli, launch
from butterflyer_jax.cloud import machines
from butterflyer_jax.cloud.job import MADE_NAME, NAME, name_of
from butterflyer_jax.distributed import processes
from tests.cloud import jobs
from tests.conftest import ROOT, Command, assert_one_line_error

# Numbers of the two enumerations in google-cloud-aiplatform, which its client sends.
NUMBERS = {
    "acceleratorType": {"NVIDIA_TESLA_A100": 8, "NVIDIA_L4": 11, "NVIDIA_H100_80GB": 13},
    "strategy": {"STANDARD": 3, "SPOT": 4},
}


@pytest.fixture(autouse=True)
def no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launch.PROJECT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", jobs.LINES)
def test_a_dry_run_prints_the_golden_job(name: str) -> None:
    """`python -m tests.cloud.jobs` rewrites them."""
    out, err = jobs.printed([*jobs.LINES[name], "--dry-run"])
    assert out == (jobs.GOLDEN / f"{name}.json").read_text()
    assert err == (jobs.GOLDEN / f"{name}.txt").read_text()
    # The gcloud command gives the same job.
    assert json.loads(err.split("<<'EOF'\n")[1].split("\nEOF\n")[0]) == json.loads(out)["jobSpec"]
    words = shlex.split(err.split("\nEOF\n")[1])
    assert words[:4] == ["gcloud", "ai", "custom-jobs", "create"]
    assert f"--display-name={json.loads(out)['displayName']}" in words


def as_client_sends(value: Any) -> Any:
    """Returns JSON as the client writes the same: enumerations as numbers, long numbers as text, defaults left out."""
    if isinstance(value, dict):
        changed = {
            key: NUMBERS[key][item] if key in NUMBERS else str(item) if key == "replicaCount" else as_client_sends(item)
            for key, item in value.items()
        }
        return {key: item for key, item in changed.items() if item not in (False, [], {})}
    return [as_client_sends(item) for item in value] if isinstance(value, list) else value


def test_googles_client_sends_the_same() -> None:
    """Recorded by record_client.py, which reads each job as Google's message: an unknown field would be an error."""
    recording = json.loads((Path(__file__).parent / "client_requests.json").read_text())["requests"]
    sent = [request["body"] for request in recording if request["url"].endswith("/customJobs")]
    ours = [json.loads(path.read_text()) for path in sorted(jobs.GOLDEN.glob("*.json"))]
    assert len(ours) == len(sent) == len(jobs.LINES)
    assert [as_client_sends(job) for job in ours] == sent


@pytest.mark.parametrize("machine", machines.all_machines(), ids=lambda machine: f"{machine.machine}-{machine.gpus}")
def test_every_machine_makes_a_custom_job_by_the_published_message(machine: machines.Machine) -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "custom_job.json").read_text())
    flags = ["--machine", machine.machine, "--accelerator", machine.accelerator, "--gpu", str(machine.gpus), "--spot"]
    for more in ([], ["--hosts", "4", "--no_restart", "--env", "A=$(B)", "--label", "x=", "--timeout_hours", "0.5"]):
        out, _ = jobs.printed([*jobs.LINES["one_gpu"], *flags, *more, "--config.batch_size=256", "--dry-run"])
        jsonschema.validate(json.loads(out), schema)


def test_every_accelerator_is_one_of_googles() -> None:
    recording = json.loads((Path(__file__).parent / "client_requests.json").read_text())
    assert {machine.accelerator for machine in machines.all_machines()} <= set(recording["accelerators"])


def test_the_pools_are_what_our_processes_read() -> None:
    """Vertex AI makes CLUSTER_SPEC of the pools; each host finds its place in it."""
    pools = json.loads((jobs.GOLDEN / "four_hosts.json").read_text())["jobSpec"]["workerPoolSpecs"]
    hosts = {
        f"workerpool{number}": [f"pool{number}-{host}:2222" for host in range(pool["replicaCount"])]
        for number, pool in enumerate(pools)
    }
    places = [
        processes.vertex_place({"CLUSTER_SPEC": json.dumps({"cluster": hosts, "task": {"type": pool, "index": index}})})
        for pool, names in hosts.items()
        for index in range(len(names))
    ]
    assert places == [processes.Place("pool0-0:2222", 4, number) for number in range(4)]


def test_no_key_is_in_a_job() -> None:
    environment = json.loads((jobs.GOLDEN / "four_hosts.json").read_text())["jobSpec"]["workerPoolSpecs"][0][
        "containerSpec"
    ]["env"]
    assert {
        "name": "WANDB_API_KEY_SECRET",
        "value": "projects/lepidoptera/secrets/wandb/versions/latest",
    } in environment
    for name in ("WANDB_API_KEY", "MY_TOKEN", "password"):
        with pytest.raises(UserError, match="no place for a secret"):
            launch.main([*jobs.LINES["one_gpu"], "--dry-run", "--env", f"{name}=x"])


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--machine", "a2-highgpu-3g"], "did you mean a2-highgpu"),
        (["--machine", "a2-highgpu-4g", "--gpu", "8"], "there is a2-highgpu-4g with 4 x NVIDIA_TESLA_A100"),
        (
            ["--machine", "g2-standard-4", "--accelerator", "NVIDIA_TESLA_T4"],
            "there is g2-standard-4 with 1 x NVIDIA_L4",
        ),
        (["--accelerator", "NVIDIA_L4", "--gpu", "3"], "no machine for --accelerator NVIDIA_L4 --gpu 3: there is"),
        (["--accelerator", "A100"], "did you mean NVIDIA_TESLA_A100 or NVIDIA_A100_80GB"),
        (["--machine", "a3-highgpu-1g"], "cannot be had on demand: add --spot"),
        (["--hosts", "3"], "batch_size = 256 must be a multiple of 3"),
        (["--hosts", "0"], "--hosts 0"),
        (["--timeout_hours", "0"], "--timeout_hours 0: between"),
        (["--timeout_hours", "nan"], "--timeout_hours nan"),
        (["--timeout_hours", "1e9"], "--timeout_hours 1e"),
        (["--disk_gib", "5"], "--disk_gib 5: between 100 and 65,536 GiB"),
        (["--disk_gib", "100000"], "--disk_gib"),
        (["--region", "us-centrall1"], "did you mean us-central1"),
        (["--region", "../v1"], "--region ../v1 is not a region of Google Cloud"),
        (["--project", "My Project"], "--project My Project"),
        (["--output", "gs://Bucket/run"], "'Bucket' cannot be a bucket"),
        (["--output", "gs:///run"], "'' cannot be a bucket"),
        (["--input", "gs://a"], "'a' cannot be a bucket"),
        (["--input", "gs://bucket/a//b"], "a folder in a bucket has"),
        (["--service_account", "trainer"], "give the e-mail address"),
        (["--env", "A-B=1"], "not a name of an environment variable"),
        (["--label", "Team=moths"], "--label Team=moths"),
        (["--label", "team"], "give NAME=VALUE"),
        (["--name", "My job"], "--name 'My job'"),
        (["--output", "runs/here"], "give gs://BUCKET"),
        (["--input", "data.zip"], "give gs://BUCKET"),
        (["--image", "no image"], "is not the address of an image"),
        (["--config.batch_siz=8"], "unknown config field batch_siz"),
        (["--config", "configs/nowhere.py"], "no such config file: configs/nowhere.py"),
    ],
)
def test_what_makes_no_job_is_said_before_anything_is_done(flags: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=re.escape(reason)):
        jobs.printed([*jobs.LINES["one_gpu"], *flags, "--dry-run"])


def test_a_long_run_folder_makes_a_name_that_fits_and_is_its_own() -> None:
    names = [name_of(f"gs://bucket/runs/{'x' * 80}{number}") for number in range(2)]
    assert len({*names}) == 2
    assert all(len(name) == MADE_NAME and NAME.fullmatch(name) for name in names)
    assert name_of("gs://bucket/runs/Eight GPUs/") == "butterflyer-eight-gpus"
    assert name_of("gs://bucket/ΩΩ") == "butterflyer"


def test_machines_are_in_the_order_of_their_prices_and_each_is_found() -> None:
    every = machines.all_machines()
    assert [m.usd_per_hour for m in every] == sorted(m.usd_per_hour for m in every)
    for machine in every:
        assert machines.pick(machine.machine, machine.accelerator, machine.gpus) == machine
        assert machines.quota(machine.accelerator, spot=True) != machines.quota(machine.accelerator, spot=False)
        assert machines.regions(machine.accelerator)
        assert machine.machine in machines.table()
    assert machines.pick(gpus=8).machine == "g2-standard-96"
    assert machines.pick().gpus == 1


def test_the_estimate_is_arithmetic_on_dated_prices(dataset: Path) -> None:
    line = ["--estimate", "--config", "configs/vgg16.py", "--machine", "a2-highgpu-8g", "--hosts", "2"]
    measured = ["--images_per_second", "10000", "--config.num_epochs=90"]
    out, _ = jobs.printed([*line, *measured, "--photos", "1281167"])
    # 1281167 * 90 / 10000 s are 3.2 h.
    assert "time       3.20 hours" in out
    assert f"cost       {1281167 * 90 / 10000 / 3600 * 2 * 33.796:,.2f} USD" in out
    assert machines.price_date() in out
    assert machines.pricing_page() in out
    assert "36 photos x 90 epochs" in jobs.printed([*line, *measured, "--input", str(dataset)])[0]
    with pytest.raises(UserError, match="--images_per_second"):
        launch.main([*line, "--photos", "5"])
    with pytest.raises(UserError, match="above 0"):
        launch.main([*line, "--photos", "5", "--images_per_second", "0"])


def test_the_command_in_its_own_process(command: Command) -> None:
    assert "a2-highgpu-8g" in command("launch", "--help").stdout
    assert_one_line_error(
        command("launch", *jobs.LINES["one_gpu"][:-4], alone=True), "arguments are required: --output"
    )
    without = command("launch", *jobs.LINES["one_gpu"], env={"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"})
    assert_one_line_error(without, "no valid Google credentials", "gcloud auth application-default login")
    code = (
        "import sys; from butterflyer_jax import launch; print({'jax', 'tensorflow', 'google.auth'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_config_is_read_as_the_job_reads_it(tmp_path: Path) -> None:
    """From a folder in which nothing else lies."""
    (tmp_path / "base.py").write_text("x = 1\n")
    config = tmp_path / "mine.py"
    config.write_text("from pathlib import Path\nassert (Path(__file__).parent / 'base.py').exists(), 'no base'\n")
    with pytest.raises(UserError, match=rf"cannot read config {config}"):
        launch._load(str(config), [])
    assert cli.load_config(ROOT / "configs" / "vgg16.py") == launch._load("configs/vgg16.py", [])


def test_the_heavy_packages_stay_out() -> None:
    for file in (ROOT / "butterflyer_jax" / "cloud").glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not ast.unparse(node).startswith(("import google", "from google", "import requests")), file
