"""Who the processes of a run are, by flags and by the environment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.distributed import processes
from butterflyer_jax.distributed.processes import Place


def vertex(task: str = "workerpool1", index: int = 1, **cluster: Any) -> dict[str, str]:
    pools = {"workerpool0": ["chief:2222"], "workerpool1": ["a:2222", "b:2222"], "workerpool2": ["reducer:2222"]}
    return {"CLUSTER_SPEC": json.dumps({"cluster": pools | cluster, "task": {"type": task, "index": index}})}


def test_flags_go_together() -> None:
    assert processes.from_flags(None, None, None) is None
    assert processes.from_flags("host:1234", 4, 3) == Place("host:1234", 4, 3)
    assert processes.from_flags(None, 1, None) == Place("", 1, 0)
    for flags, reason in [
        (("host:1234", None, None), "go together"),
        ((None, 2, 0), "go together"),
        (("host:1234", 2, 2), "between 0 and 1"),
        (("host", 2, 0), "give HOST:PORT"),
    ]:
        with pytest.raises(UserError, match=reason):
            processes.from_flags(*flags)


def test_vertex_ai_counts_the_pools_that_train() -> None:
    assert processes.vertex_place({}) is None
    assert processes.vertex_place(vertex("workerpool0", 0)) == Place("chief:2222", 3, 0)
    assert processes.vertex_place(vertex("workerpool1", 1)) == Place("chief:2222", 3, 2)
    alone = vertex("workerpool0", 0, workerpool1=[])
    assert processes.vertex_place(alone) == Place("chief:2222", 1, 0)
    assert processes.vertex_place(vertex("workerpool0", 0, workerpool0=["chief"])) == Place("chief:2222", 3, 0)


@pytest.mark.parametrize(
    "environment",
    [
        {"CLUSTER_SPEC": "{"},
        {"CLUSTER_SPEC": "[]"},
        {"CLUSTER_SPEC": "{}"},
        vertex("workerpool2", 0),
        vertex("workerpool1", 2),
        vertex("workerpool0", 0, workerpool0=[]),
    ],
)
def test_a_spec_that_describes_no_worker_is_reported(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="CLUSTER_SPEC does not describe a worker"):
        processes.vertex_place(environment)


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "node[1-4]"}, True),
        # A batch script that starts one process by itself, and a job of one task.
        ({"SLURM_NTASKS": "4"}, False),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "node1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
    ],
)
def test_what_is_left_to_jax(environment: dict[str, str], several: bool) -> None:
    assert processes.jax_finds_others(environment) is several


def test_a_platform_that_jax_cannot_use_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices() -> None:
        # What JAX raises for a platform that it was not built for.
        raise AssertionError

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr("jax.devices", devices)
    with pytest.raises(UserError, match="JAX cannot use JAX_PLATFORMS=cuda: it is not there; unset it"):
        processes.require_platform()
