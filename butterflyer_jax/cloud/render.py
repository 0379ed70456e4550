"""A training job in the words of other tools: gcloud, Kubernetes, Slurm."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from butterflyer_jax.cloud.job import Job, custom_job

PORT = 2222
# Where a cluster keeps the config that a job reads.
CONFIG_FOLDER = "/config"
# What YAML reads as a string without quotes, whatever its version.
PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z./-]*", re.IGNORECASE)

JOBSET_HEAD = """\
# Trains on {hosts} hosts of {gpus} GPUs on Kubernetes, as a JobSet (https://jobset.sigs.k8s.io, version 0.8 or newer).
# Made by:
#   {command}
#
# Before the first time, in the same namespace:
#   kubectl create configmap {name} --from-file={file}={config}
#   kubectl create serviceaccount {account}  # tied to a Google account that may read and write the bucket
# and, for Weights & Biases (the pods run without it too):
#   kubectl create secret generic wandb --from-literal=key=…
# Then: kubectl apply -f {path}; kubectl logs -f -l jobset.sigs.k8s.io/jobset-name={name} --max-log-requests={hosts}
#
# One pod a host. When one is lost, all start again (at most {restarts} times) and go on from the newest checkpoint.
"""

SBATCH = """\
#!/usr/bin/env bash
# Trains on {hosts} nodes of {gpus} GPUs under Slurm: one process a node, which JAX finds by itself.
# Made by:
#   {command}
#
# Needs the environment of scripts/setup.sh with the extra gpu, on a disk that all nodes see.
# Data and run may be on that disk or on gs://; set BUTTERFLYER_CACHE to a fast disk of the node. A key of
# Weights & Biases is taken from the environment of whoever submits: WANDB_API_KEY=… sbatch {path}
#
#SBATCH --job-name={name}
#SBATCH --nodes={hosts}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --exclusive
#SBATCH --time={time}
#SBATCH --output=%x-%j.log
# Sent before the time is over, so that the run saves; and the job is queued again when a node fails.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
cd "${{SLURM_SUBMIT_DIR:-.}}"
# JAX would take one GPU a process.
export JAX_LOCAL_DEVICE_IDS={devices}
{environment}# A node that fails ends all of them; what is queued again goes on from the newest checkpoint.
srun --kill-on-bad-exit=1 \\
  .venv/bin/python -m butterflyer_jax.train \\
{arguments}
"""


def gcloud(job: Job, project: str, region: str) -> str:
    """Returns shell commands that do by gcloud what `launch` does by itself."""
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
    """Returns the manifest of a JobSet that trains as the job says.

    Args:
      job: its image, machine's GPUs, hosts, time-out and environment count; the config comes from a ConfigMap.
      command: that made the manifest, for its head.
      path: where the manifest lies, for its head.
    """
    account, restarts = job.service_account or "butterflyer", 6 if job.restart else 0
    file = job.config.rsplit("/", 1)[-1]
    head = JOBSET_HEAD.format(
        hosts=job.hosts,
        gpus=job.machine.gpus,
        command=command,
        name=job.name,
        file=file,
        config=job.config,
        account=account,
        path=path,
        restarts=restarts,
    )
    # JAX would ask the cluster for the other pods, for which it wants a package and rights; the names say it already.
    together = [
        "--coordinator",
        f"{job.name}-host-0-0.{job.name}:{PORT}",
        "--num_processes",
        str(job.hosts),
        "--process_id",
        "$(JOB_COMPLETION_INDEX)",
    ]
    environment: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in job.environment.items()]
    environment.append(
        {
            "name": "WANDB_API_KEY",
            "valueFrom": {"secretKeyRef": {"name": "wandb", "key": "key", "optional": True}},
        }
    )
    node_selector = {"cloud.google.com/gke-accelerator": _gke_accelerator(job.machine.accelerator)}
    if job.spot:
        node_selector["cloud.google.com/gke-spot"] = "true"
    pod: dict[str, Any] = {
        "serviceAccountName": account,
        "restartPolicy": "Never",
        # Time to finish a step and save, from the first sign that the node goes.
        "terminationGracePeriodSeconds": 120,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "nodeSelector": node_selector,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "containers": [
            {
                "name": "train",
                "image": job.image,
                "args": [*job.arguments(f"{CONFIG_FOLDER}/{file}"), *(together if job.hosts > 1 else [])],
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
    manifest = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": job.name, "labels": {"app": "butterflyer", **job.labels}},
        "spec": {
            "failurePolicy": {"maxRestarts": restarts},
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
                            # The set starts again as a whole, not a pod by itself.
                            "backoffLimit": 0,
                            "activeDeadlineSeconds": round(job.timeout_hours * 3600),
                            "template": {"spec": pod},
                        }
                    },
                }
            ],
        },
    }
    return head + "\n".join(_yaml(manifest)) + "\n"


def sbatch(job: Job, command: str, path: str) -> str:
    """Returns a batch script for Slurm that trains as the job says; see `jobset`."""
    hours, minutes = divmod(round(job.timeout_hours * 60), 60)
    words = job.arguments(job.config)
    lines = [f"  {word} {shlex.quote(value)}" for word, value in zip(words[:6:2], words[1:6:2], strict=True)]
    lines += [f"  {shlex.quote(word)}" for word in words[6:]]
    environment = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in job.environment.items())
    return SBATCH.format(
        hosts=job.hosts,
        gpus=job.machine.gpus,
        command=command,
        name=job.name,
        path=path,
        time=f"{hours:02}:{minutes:02}:00",
        environment=environment,
        devices=",".join(map(str, range(job.machine.gpus))),
        arguments=" \\\n".join(lines),
    )


def _gke_accelerator(name: str) -> str:
    """Returns what GKE calls a GPU: NVIDIA_TESLA_A100 is nvidia-tesla-a100 there."""
    return {"NVIDIA_H200_141GB": "nvidia-h200-141gb"}.get(name, name.lower().replace("_", "-"))


def _yaml(value: Any, indent: int = 0) -> list[str]:
    """Returns the lines of a value in YAML: blocks, with every scalar as JSON writes it, which YAML reads the same."""
    space = " " * indent
    lines = []
    if isinstance(value, dict):
        for name, content in value.items():
            if isinstance(content, (dict, list)) and content:
                lines += [f"{space}{name}:", *_yaml(content, indent + 2)]
            else:
                lines.append(f"{space}{name}: {_scalar(content)}")
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)) and item:
                first, *rest = _yaml(item, indent + 2)
                lines += [f"{space}- {first.strip()}", *rest]
            else:
                lines.append(f"{space}- {_scalar(item)}")
    return lines


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value)
