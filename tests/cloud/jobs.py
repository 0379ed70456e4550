"""Command lines whose jobs are kept in `golden/`; `python -m tests.cloud.jobs` rewrites them."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from butterflyer_jax import launch

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent.parent
IMAGE = "us-central1-docker.pkg.dev/lepidoptera/butterflyer/train:1"
# A copy of its own: the name that a config is staged under has the hash of its bytes, and the recording keeps it.
CONFIG = "tests/cloud/fake_benchmark.py"
COMMON = [
    *("--config", CONFIG, "--input", "gs://lepidoptera/data"),
    *("--image", IMAGE, "--project", "lepidoptera"),
]
LINES = {
    "one_gpu": [*COMMON, "--output", "gs://lepidoptera/runs/first"],
    "eight_gpus": [
        *COMMON,
        *("--output", "gs://lepidoptera/runs/Eight GPUs", "--machine", "a2-highgpu-8g", "--spot"),
        *("--region", "europe-west4", "--timeout_hours", "1.5", "--label", "team=moths"),
        *("--service_account", "trainer@lepidoptera.iam.gserviceaccount.com"),
        "--config.optim.learning_rate=0.02",
    ],
    "four_hosts": [
        *COMMON,
        *("--output", "gs://lepidoptera/runs/four/", "--accelerator", "NVIDIA_H100_80GB", "--gpu", "8"),
        *("--hosts", "4", "--name", "vgg16-wide", "--no_restart", "--disk_gib", "500"),
        *("--wandb_secret", "wandb", "--env", "NCCL_DEBUG=WARN"),
    ],
}
SCRIPTS = {
    "scripts/jobset.yaml": [
        *("--on", "kubernetes", "--config", "configs/vgg16.py"),
        *("--input", "gs://my-bucket/data", "--output", "gs://my-bucket/runs/vgg16"),
        *("--image", "REGION-docker.pkg.dev/PROJECT/butterflyer/train:1"),
        *("--accelerator", "NVIDIA_TESLA_A100", "--gpu", "8", "--hosts", "4"),
    ],
    "scripts/train.sbatch": [
        *("--on", "slurm", "--config", "configs/vgg16.py", "--input", "data", "--output", "runs/vgg16"),
        *("--gpu", "8", "--hosts", "4"),
    ],
}


def printed(line: list[str]) -> tuple[str, str]:
    """Returns what the command prints, to stdout and to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(ROOT):
        launch.main(line)
    return out.getvalue(), err.getvalue()


if __name__ == "__main__":
    for variable in launch.PROJECT_VARIABLES:
        os.environ.pop(variable, None)
    for name, line in LINES.items():
        out, err = printed([*line, "--dry-run"])
        (GOLDEN / f"{name}.json").write_text(out)
        (GOLDEN / f"{name}.txt").write_text(err)
    for name, line in SCRIPTS.items():
        (ROOT / name).write_text(printed(line)[0])
