"""Processes of a run, found by flags or from a cluster's environment, and the settings each needs before JAX starts."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from butterflyer_jax import console
from butterflyer_jax.config import Config
from butterflyer_jax.errors import TemporaryError, UserError
from butterflyer_jax.storage.errors import words_of

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"

# Worker pools of a Vertex AI job that train: the first process, and the others. Further pools have other duties.
VERTEX_POOLS = ("workerpool0", "workerpool1")
VERTEX_PORT = 2222
# Device files of a Cloud TPU virtual machine, and the variables that list its workers.
TPU_DEVICES = ("/dev/accel0", "/dev/vfio/0")
TPU_WORKERS = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")


@dataclass(frozen=True)
class Place:
    """The place of a process among all of the run.

    Attributes:
      coordinator: HOST:PORT where process 0 listens.
      num_processes: number of processes of the run.
      process_id: number of this process, from 0.
    """

    coordinator: str
    num_processes: int
    process_id: int


def start(place: Place | None = None) -> None:
    """Joins the other processes of the run, if there are any; before JAX looks for devices.

    Slurm, Open MPI, indexed jobs of Kubernetes and Cloud TPU are left to JAX, `CLUSTER_SPEC` of Vertex AI is read here.

    Args:
      place: place given by the user's flags; None reads the environment.

    Raises:
      UserError: the environment's description cannot be read, or the others cannot be reached.
    """
    place = place or vertex_place(os.environ)
    if place is None and not jax_finds_others(os.environ):
        return
    import jax

    if jax.distributed.is_initialized() or (place is not None and place.num_processes == 1):
        return
    try:
        if place is None:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(place.coordinator, place.num_processes, place.process_id)
    except (RuntimeError, ValueError) as error:
        where = f"at {place.coordinator}" if place else "that the environment names"
        raise TemporaryError(
            f"cannot join the other processes {where}: {words_of(error)}. Give --coordinator, --num_processes and "
            "--process_id, or --num_processes 1 to train alone"
        ) from error


def from_flags(coordinator: str | None, num_processes: int | None, process_id: int | None) -> Place | None:
    """Returns the place that three flags give, or None if none is given; one process needs no coordinator.

    Args:
      coordinator: HOST:PORT where process 0 listens.
      num_processes: number of processes of the run.
      process_id: number of this process, from 0.

    Raises:
      UserError: some flags are missing or contradict each other.
    """
    if coordinator is None and num_processes is None and process_id is None:
        return None
    if num_processes == 1 and coordinator is None:
        # Regardless of the environment, this process trains alone.
        return Place("", 1, 0)
    if coordinator is None or num_processes is None or process_id is None:
        raise UserError("--coordinator, --num_processes and --process_id go together")
    if not 0 <= process_id < num_processes:
        raise UserError(f"--process_id {process_id} must be between 0 and {num_processes - 1}")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator {coordinator}: give HOST:PORT, such as 10.0.0.1:2222")
    return Place(coordinator, num_processes, process_id)


def vertex_place(environment: Mapping[str, str]) -> Place | None:
    """Returns the place that Vertex AI's `CLUSTER_SPEC` gives, or None if it is not set.

    Raises:
      UserError: `CLUSTER_SPEC` cannot be read, or this process does not train.
    """
    text = environment.get("CLUSTER_SPEC")
    if not text:
        return None
    try:
        spec = json.loads(text)
        pools = [spec["cluster"].get(pool, []) for pool in VERTEX_POOLS]
        pool, index = VERTEX_POOLS.index(spec["task"]["type"]), int(spec["task"]["index"])
        host, _, port = pools[0][0].partition(":")
        place = Place(f"{host}:{port or VERTEX_PORT}", sum(map(len, pools)), index + (len(pools[0]) if pool else 0))
        if place.process_id >= place.num_processes:
            raise ValueError(f"there is no {spec['task']['type']} {index}")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"the environment variable CLUSTER_SPEC does not describe a worker: {error}") from error
    return place


def jax_finds_others(environment: Mapping[str, str]) -> bool:
    """Returns whether this process is one of several that JAX itself can find.

    A single process is left alone: a batch system may have started it, and JAX would wait for others or need packages
    of that system.
    """

    def count(name: str) -> int:
        value = environment.get(name, "")
        return int(value) if value.isdigit() else 0

    # A batch script's own shell has SLURM_NTASKS too, but is no step.
    slurm = count("SLURM_NTASKS") > 1 and "SLURM_STEP_NODELIST" in environment
    open_mpi = count("OMPI_COMM_WORLD_SIZE") > 1
    kubernetes = "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment
    return slurm or open_mpi or kubernetes or _on_cloud_tpu(environment)


def _on_cloud_tpu(environment: Mapping[str, str]) -> bool:
    if importlib.util.find_spec("libtpu") is None or not any(Path(device).exists() for device in TPU_DEVICES):
        return False
    listed = any("," in environment.get(name, "") for name in TPU_WORKERS)
    # Without a list JAX asks the machine's metadata server, which a notebook's sandbox has not.
    return listed or "TPU_SKIP_MDS_QUERY" not in environment


def require_platform() -> None:
    """Has JAX look for devices.

    Raises:
      UserError: a platform that JAX_PLATFORMS names cannot be used here.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        # JAX raises without a reason if a platform is named that it was not built for.
        platforms = os.environ.get("JAX_PLATFORMS", "")
        reason = (str(error).strip().splitlines() or ["it is not there"])[0]
        raise UserError(
            f"JAX cannot use JAX_PLATFORMS={platforms}: {reason}; unset it, or install what it needs"
        ) from error


def prepare(config: Config, place: Place | None) -> bool:
    """Prepares this process for training; returns whether it is the main process, which logs and writes for all.

    Args:
      config: config of the run.
      place: place of this process among several; None reads the environment.

    Raises:
      UserError: the other processes cannot be joined, or there is no such platform as JAX_PLATFORMS names.
    """
    if config.deterministic and DETERMINISTIC_FLAG not in os.environ.get("XLA_FLAGS", ""):
        # Read when JAX looks for devices for the first time.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC_FLAG}".strip()
    from butterflyer_jax.distributed import memory

    memory.run_in_caller()
    start(place)
    import jax

    from butterflyer_jax.distributed import compile_cache

    require_platform()
    speaks = jax.process_index() == 0
    if not speaks:
        console.be_quiet()
    compile_cache.keep_for(config)
    return speaks
