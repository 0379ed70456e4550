"""Training job: its command, its machines, and its CustomJob specification for Vertex AI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from butterflyer_jax.cloud import limits
from butterflyer_jax.cloud.machines import Machine
from butterflyer_jax.errors import UserError

TRAIN = ("python", "-m", "butterflyer_jax.train")
# Subfolder of the run folder; hidden, so that a run folder with nothing else in it still counts as new.
STAGING = ".launch"
# The variable that names the secret with the Weights & Biases key; the key itself never stands in a job.
WANDB_SECRET = "WANDB_API_KEY_SECRET"
# Environment variables that look like secrets; everyone with read access to the project sees a job's environment.
SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|PASSWD|CREDENTIAL|SECRET", re.IGNORECASE)
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,60}[a-z0-9])?")
# Longest job name derived from a run folder: short enough to name the pods of 1,000 hosts.
MADE_NAME = 45
IMAGE = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})?|[\w.-]+(:[\w.-]+)?")


@dataclass(frozen=True)
class Job:
    """A training job on one or more machines.

    Attributes:
      name: lower case letters, digits and hyphens.
      config: local config file, copied into the bucket.
      input: data set on gs://, or "fake".
      output: run folder on gs://.
      image: address of the container image.
      machine: machine of each host, with its GPUs.
      overrides: config fields such as "optim.learning_rate=0.1".
      hosts: number of machines that train together.
      spot: use spot machines, which are cheaper and may be reclaimed; the job then restarts and resumes.
      timeout_hours: time limit of the job.
      restart: restart all hosts when one is lost, and after internal errors.
      disk_gib: size of each host's disk, GiB.
      service_account: account that the training runs as; empty for the default.
      labels: labels of the job, for billing.
      environment: environment variables of the training.
      wandb_secret: Secret Manager resource that holds the Weights & Biases key; empty for none.
    """

    name: str
    config: str
    input: str
    output: str
    image: str
    machine: Machine
    overrides: tuple[str, ...] = ()
    hosts: int = 1
    spot: bool = False
    timeout_hours: float = 24.0
    restart: bool = True
    disk_gib: int = 200
    service_account: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    wandb_secret: str = ""

    def __post_init__(self) -> None:
        """Raises a UserError where no scheduler could accept the job."""
        if not NAME.fullmatch(self.name):
            raise UserError(f"--name {self.name!r}: take lower case letters, digits and hyphens, at most 62")
        if self.hosts < 1:
            raise UserError(f"--hosts {self.hosts}: at least one")
        limits.check_size("--timeout_hours", self.timeout_hours, limits.HOURS, "hours")
        limits.check_size("--disk_gib", self.disk_gib, limits.DISK_GIB, "GiB")
        for name, value in self.labels.items():
            if not name or not name[0].isalpha() or not LABEL.fullmatch(name) or not LABEL.fullmatch(value):
                raise UserError(f"--label {name}={value}: take lower case letters, digits, _ and -, at most 63")
        for name, value in self.environment.items():
            if not limits.VARIABLE.fullmatch(name) or "\0" in value:
                raise UserError(f"--env {name}: not a name of an environment variable")
            if SECRET_NAME.search(name):
                raise UserError(
                    f"--env {name}: a job's environment is no place for a secret, every reader of the project sees it; "
                    "keep it in Secret Manager (--wandb_secret does that for the key of Weights & Biases)"
                )

    def check_cloud(self) -> None:
        """Raises a UserError where the job depends on files of this machine, or its image is no address."""
        for flag, url in (("--output", self.output), ("--input", self.input)):
            if flag == "--input" and url == "fake":
                continue
            if not url.startswith("gs://"):
                raise UserError(f"{flag} {url}: a job in the cloud reads and writes a bucket: give gs://BUCKET/…")
            limits.check_url(flag, url)
        if not IMAGE.fullmatch(self.image):
            raise UserError(f"--image {self.image!r} is not the address of an image: HOST/PROJECT/REPOSITORY/NAME:TAG")

    def check_vertex(self) -> None:
        """Raises a UserError where Vertex AI would reject the job."""
        self.check_cloud()
        if self.machine.spot_only and not self.spot:
            raise UserError(f"{self.machine.words} cannot be had on demand: add --spot, or take a3-highgpu-8g")
        if self.service_account and not limits.SERVICE_ACCOUNT.fullmatch(self.service_account):
            raise UserError(f"--service_account {self.service_account}: give the e-mail address of an account")

    def check_kubernetes(self) -> None:
        """Raises a UserError where Kubernetes would reject the job."""
        self.check_cloud()
        limits.check_kubernetes(
            self.name, self.hosts, self.config, self.service_account, dict(self.labels), self.output
        )

    @property
    def config_content(self) -> bytes:
        """Content of the config file."""
        return Path(self.config).read_bytes()

    @property
    def staged_config(self) -> str:
        """Address of the job's config in the bucket; the name depends on the content."""
        digest = hashlib.sha256(self.config_content).hexdigest()[:12]
        return f"{self.output.rstrip('/')}/{STAGING}/{Path(self.config).stem}-{digest}.py"

    def arguments(self, config: str | None = None) -> list[str]:
        """Returns the arguments of the training command, with `config` in place of the config file where given."""
        config = config or self.staged_config
        overrides = [f"--config.{override}" for override in self.overrides]
        return ["--config", config, "--input", self.input, "--output", self.output, *overrides]


def custom_job(job: Job) -> dict[str, Any]:
    """Returns the CustomJob as the REST API of Vertex AI expects it.

    Pool 0 is the first host, pool 1 the others, as `processes.vertex_place` reads them from `CLUSTER_SPEC`.
    """
    environment = dict(job.environment)
    if job.wandb_secret:
        environment[WANDB_SECRET] = job.wandb_secret

    # Machines with H200 GPUs support no other disk type.
    disk = "hyperdisk-balanced" if job.machine.machine.startswith("a3-ultragpu") else "pd-ssd"

    def pool(replicas: int) -> dict[str, Any]:
        return {
            "machineSpec": {
                "machineType": job.machine.machine,
                "acceleratorType": job.machine.accelerator,
                "acceleratorCount": job.machine.gpus,
            },
            "replicaCount": replicas,
            "diskSpec": {"bootDiskType": disk, "bootDiskSizeGb": job.disk_gib},
            "containerSpec": {
                "imageUri": job.image,
                "command": list(TRAIN),
                "args": job.arguments(),
                "env": [{"name": name, "value": value} for name, value in environment.items()],
            },
        }

    specification: dict[str, Any] = {
        "workerPoolSpecs": [pool(1)] + ([pool(job.hosts - 1)] if job.hosts > 1 else []),
        "scheduling": {
            "timeout": f"{round(job.timeout_hours * 3600)}s",
            "restartJobOnWorkerRestart": job.restart,
            "disableRetries": not job.restart,
            "strategy": "SPOT" if job.spot else "STANDARD",
        },
    }
    if job.service_account:
        specification["serviceAccount"] = job.service_account
    return {"displayName": job.name, "labels": {"app": "butterflyer", **job.labels}, "jobSpec": specification}


def name_of(output: str) -> str:
    """Returns a job name for a run folder; a long name is truncated and ends in a hash of the full one."""
    words = re.sub(r"[^a-z0-9]+", "-", output.rstrip("/").rsplit("/", 1)[-1].lower()).strip("-")
    name = f"butterflyer-{words}".rstrip("-")
    if len(name) <= MADE_NAME:
        return name
    digest = hashlib.sha256(output.rstrip("/").encode()).hexdigest()[:6]
    return f"{name[: MADE_NAME - 7].rstrip('-')}-{digest}"
