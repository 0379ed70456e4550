"""Training job in the formats of other tools: gcloud commands, a Kubernetes JobSet, a Slurm batch script."""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import jinja2
import yaml

from butterflyer_jax.cloud.job import Job, custom_job
from butterflyer_jax.errors import TemporaryError, UserError

PORT = 2222
# Folder in which a pod finds its training config.
CONFIG_FOLDER = "/config"
MAX_RESTARTS = 6
# Time for a step and a save after a preemption notice, seconds.
NOTICE_SECONDS = 120
TEMPLATES = Path(__file__).with_name("templates")
# Text that every version of YAML reads as a string without quotes.
PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z./-]*", re.IGNORECASE)


class _Dumper(yaml.SafeDumper):
    """Quotes everything but plain words: versions of YAML differ in what they parse as numbers and booleans."""


_Dumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style=None if PLAIN.fullmatch(value) else '"'
    ),
)


def to_yaml(value: Any) -> str:
    """Returns plain data as YAML that versions 1.1 and 1.2 read alike."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)


@functools.cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["quote"] = shlex.quote
    return environment.from_string((TEMPLATES / name).read_text(encoding="utf-8"))


def gcloud(job: Job, project: str, region: str) -> str:
    """Returns gcloud commands that do the same as `launch`."""
    body = custom_job(job)
    labels = ",".join(f"{name}={value}" for name, value in body["labels"].items())
    specification = json.dumps(body["jobSpec"], indent=2)
    return (
        f"gcloud storage cp {shlex.quote(job.config)} {shlex.quote(job.staged_config)}\n"
        f"cat >job.json <<'EOF'\n{specification}\nEOF\n"
        f"gcloud ai custom-jobs create --project={project} --region={region} --display-name={job.name} "
        f"--labels={labels} --config=job.json\n"
    )


def jobset(job: Job, command: str, path: str) -> str:
    """Returns the manifest of a training JobSet; its pods read the config from a ConfigMap.

    Args:
      job: training job; its image, GPUs per machine, hosts, time limit and environment are used.
      command: command that wrote the manifest, for its header comment.
      path: file of the manifest, for its header comment.
    """
    account, restarts = job.service_account or "butterflyer", MAX_RESTARTS if job.restart else 0
    file = job.config.rsplit("/", 1)[-1]
    head = _template("jobset_head.txt").render(
        hosts=job.hosts,
        gpus=job.machine.gpus,
        command=command,
        name=job.name,
        file=file,
        config=job.config,
        account=account,
        path=path,
        restarts=restarts,
        exit_code=UserError.exit_code,
    )
    manifest = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name, "labels": {"app": "butterflyer", **job.labels}},
        "spec": {
            "failurePolicy": {
                "maxRestarts": restarts,
                "rules": [
                    {"name": "unmendable", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]},
                ],
            },
            "network": {"enableDNSHostnames": True, "subdomain": job.name},
            "replicatedJobs": [
                {
                    "name": "host",
                    "replicas": 1,
                    "template": {
                        "spec": {
                            "completionMode": "Indexed",
                            "parallelism": job.hosts,
                            "completions": job.hosts,
                            # The JobSet restarts as a whole, never a single pod.
                            "backoffLimit": 0,
                            "podFailurePolicy": {
                                "rules": [
                                    {
                                        "action": "FailJob",
                                        "onExitCodes": {
                                            "containerName": "train",
                                            "operator": "In",
                                            "values": [UserError.exit_code],
                                        },
                                    }
                                ]
                            },
                            "activeDeadlineSeconds": round(job.timeout_hours * 3600),
                            "template": {"spec": _pod(job, file, account)},
                        }
                    },
                }
            ],
        },
    }
    return head + to_yaml(manifest)


def _pod(job: Job, file: str, account: str) -> dict[str, Any]:
    """Returns the specification of a pod: one host of the training."""
    # In an Indexed Job JAX asks the cluster for the other pods, which needs a package and permissions: explicit flags
    # name them, also for a single pod.
    together = ["--num_processes", str(job.hosts)]
    if job.hosts > 1:
        together = ["--coordinator", f"{job.name}-host-0-0.{job.name}:{PORT}", *together]
        together += ["--process_id", "$(JOB_COMPLETION_INDEX)"]
    # Kubernetes replaces $(NAME) in arguments and values; $$( stands for itself.
    arguments = [word.replace("$(", "$$(") for word in job.arguments(f"{CONFIG_FOLDER}/{file}")]
    environment: list[dict[str, Any]] = [
        {"name": name, "value": value.replace("$(", "$$(")} for name, value in job.environment.items()
    ]
    environment.append(
        {
            "name": "WANDB_API_KEY",
            "valueFrom": {"secretKeyRef": {"name": "wandb", "key": "key", "optional": True}},
        }
    )
    node_selector = {"cloud.google.com/gke-accelerator": _gke_accelerator(job.machine.accelerator)}
    if job.spot:
        node_selector["cloud.google.com/gke-spot"] = "true"
    return {
        "serviceAccountName": account,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": NOTICE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "nodeSelector": node_selector,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [
            {
                "name": "train",
                "image": job.image,
                "args": [*arguments, *together],
                "env": environment,
                "ports": [{"containerPort": PORT}],
                "resources": {"limits": {"nvidia.com/gpu": job.machine.gpus}},
                "volumeMounts": [
                    {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
                    {"name": "cache", "mountPath": "/cache"},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},
                ],
            }
        ],
        "volumes": [
            {"name": "config", "configMap": {"name": job.name}},
            {"name": "cache", "emptyDir": {"sizeLimit": f"{job.disk_gib}Gi"}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }


def sbatch(job: Job, command: str, path: str) -> str:
    """Returns a Slurm batch script for the job; the parameters are those of `jobset`."""
    hours, minutes = divmod(round(job.timeout_hours * 60), 60)
    words = job.arguments(job.config)
    lines = [f"{word} {shlex.quote(value)}" for word, value in zip(words[:6:2], words[1:6:2], strict=True)]
    lines += [shlex.quote(word) for word in words[6:]]
    return _template("train.sbatch").render(
        hosts=job.hosts,
        gpus=job.machine.gpus,
        command=command,
        name=job.name,
        path=path,
        time=f"{hours:02}:{minutes:02}:00",
        notice=NOTICE_SECONDS,
        environment=job.environment,
        devices=",".join(map(str, range(job.machine.gpus))),
        arguments=lines,
        temporary=TemporaryError.exit_code,
    )


def _gke_accelerator(name: str) -> str:
    """Returns the name of a GPU on GKE, such as nvidia-tesla-a100 for NVIDIA_TESLA_A100."""
    return {"NVIDIA_H200_141GB": "nvidia-h200-141gb"}.get(name, name.lower().replace("_", "-"))
