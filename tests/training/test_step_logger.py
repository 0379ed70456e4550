"""What the log says of speed, waiting and memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import pytest

from butterflyer_jax.config import Config
from butterflyer_jax.training import step_logger
from butterflyer_jax.training.profiling import Cost

STEP_SECONDS = 4.0
# Two photos a second on four devices: one TFLOP/s each, a quarter of what they could do.
COST = Cost(flops_per_image=2e12, num_devices=4, peak_flops=4e12)


class Clock:
    """Stands in for the clock, and for everything that the log talks to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.advice = "decoding JPEGs: take more cores"
        self.steps_per_epoch = 10

    def perf_counter(self) -> float:
        return self.now

    def bottleneck(self) -> str:
        return self.advice

    def log(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def step(self, record: dict[str, Any]) -> None:
        pass

    def line(self, text: str, cut: bool = False) -> None:
        self.lines.append(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(step_logger, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


def steps(clock: Clock, waits: list[float]) -> step_logger.StepLog:
    """Logs a step of four seconds for each wait, the seconds of it that were spent waiting for data."""
    config = Config(batch_size=8, log_every_steps=1)
    log = step_logger.StepLog(clock, 100, lambda step: 0.1, clock, clock, config, lambda step: COST)  # type: ignore[arg-type]
    for number, waited in enumerate(waits, start=1):
        clock.now += STEP_SECONDS
        metrics = {name: jnp.float32(1) for name in ("loss", "top1", "gradient_norm")}
        log.add(number, metrics, waited)
        log.log_pending()
    return log


def test_every_line_tells_speed_waiting_and_memory(clock: Clock) -> None:
    steps(clock, [1.0, 0.0])
    assert [(line["images_per_second"], line["data_wait"]) for line in clock.records] == [(2.0, 0.25), (2.0, 0.0)]
    assert all(100 < line["host_memory_mib"] < 100_000 for line in clock.records)


def test_every_line_tells_how_well_the_devices_are_used(clock: Clock) -> None:
    steps(clock, [0.0])
    [line] = clock.records
    figures = {"step_ms": 4000, "images_per_second_per_device": 0.5, "tflops_per_device": 1.0, "mfu": 0.25}
    assert {name: line[name] for name in figures} == figures


def test_more_than_a_tenth_of_waiting_is_explained_once(clock: Clock) -> None:
    steps(clock, [1.0] * 9)
    assert clock.lines == ["waiting for data 25% of the time, most of it decoding JPEGs: take more cores"]


@pytest.mark.parametrize("waits", [[0.3] * 9, [3.0, 0.0]])
def test_little_waiting_or_a_few_seconds_of_it_are_not(clock: Clock, waits: list[float]) -> None:
    steps(clock, waits)
    assert clock.lines == []


def test_an_input_that_knows_no_reason_is_left_alone(clock: Clock) -> None:
    clock.advice = ""
    steps(clock, [1.0] * 9)
    assert clock.lines == []


def test_an_epoch_line_holds_its_own_waiting(clock: Clock) -> None:
    log = steps(clock, [1.0] * 3)
    log.end_epoch(10, None)
    assert "2 images/s  waiting for data 25%  memory " in clock.lines[-1]
