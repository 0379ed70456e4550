"""The order of the loop, and what it does when something goes wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import CheckpointConfig, Config, OptimConfig
from butterflyer_jax.console import TrainingDisplay
from butterflyer_jax.distributed import sharding
from butterflyer_jax.metrics.sums import Sums
from butterflyer_jax.models.variables import Variables
from butterflyer_jax.training import loop, step_logger
from butterflyer_jax.training.early_stopping import EarlyStopping
from butterflyer_jax.training.preemption import Preemption
from butterflyer_jax.training.session import RunSession
from butterflyer_jax.training.state import TrainState

STEPS_PER_EPOCH = 3


@dataclasses.dataclass
class Clock:
    """Stands in for the clock: opening the data takes 100 seconds, a step two."""

    now: float = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-9
        return self.now


@dataclasses.dataclass
class Recorder:
    """Stands in for everything that fit() calls, and writes down in which order."""

    config: Config
    nan_at: int = 1000
    clock: Clock | None = None
    events: list[Any] = dataclasses.field(default_factory=list)
    rates: list[float] = dataclasses.field(default_factory=list)
    species: tuple[str, ...] = ("a", "b")
    steps_per_epoch: int = STEPS_PER_EPOCH
    fingerprint: str = "x"

    # A data set.
    def num_photos(self, split: str) -> int:
        return 2

    def position(self, step: int) -> Any:
        return type("P", (), {"to_json": lambda _: {"at": step}})()

    def train_batches(self, start_step: int) -> Iterator[dict[str, np.ndarray]]:
        if self.clock:
            self.clock.now += 100.0
        for step in range(start_step, 1000):
            self.events.append(("read", step))
            yield {"step": np.full(1, step)}

    def eval_batches(self, split: str) -> Iterator[dict[str, np.ndarray]]:
        yield {"label": np.zeros(1)}

    def bottleneck(self) -> str:
        return ""

    # The jitted functions.
    def train_step(self, state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        assert int(batch["step"][0]) == int(state.step), "each step takes its own batch"
        self.events.append(("step", int(state.step)))
        if self.clock:
            self.clock.now += 2.0
        number = int(state.step) + 1
        # The gradient breaks the new state; the loss shows it one step later.
        metrics = {
            "loss": jnp.float32("nan" if number == self.nan_at + 1 else 1.0),
            "top1": jnp.float32(0.5),
            "gradient_norm": jnp.float32("nan" if number >= self.nan_at else 1.0),
        }
        return state.replace(step=state.step + 1), metrics

    def eval_step(self, variables: Variables, batch: dict[str, jax.Array]) -> Sums:
        self.events.append("evaluate")
        return Sums(jnp.float32(1), jnp.int32(1), jnp.int32(1), jnp.array([[1, 0], [0, 0]]))

    # Checkpointer and tracker.
    def save(
        self, step: int, trees: dict[str, Any], position: dict[str, Any], metrics: dict[str, float] | None
    ) -> None:
        assert int(trees["optimizer"]["step"]) == step == position["at"]
        self.events.append(("save", step, metrics is not None))

    def wait(self) -> None:
        self.events.append("wait")

    def log(self, record: dict[str, Any]) -> None:
        self.events.append(("log", record["split"], record["step"]))
        if record["split"] == "train":
            self.rates.append(record["learning_rate"])


def run(start: int = 0, nan_at: int = 1000, preemption: Any = None, **config: Any) -> list[Any]:
    return fit(start, nan_at, preemption, **config)[0].events


def fit(
    start: int = 0, nan_at: int = 1000, preemption: Any = None, clock: Clock | None = None, **config: Any
) -> tuple[Recorder, loop.FitResult | None]:
    values = {"batch_size": 1, "num_epochs": 2, "log_every_steps": 1, **config}
    recorder, result = Recorder(Config(**values), nan_at, clock), None
    setup = SimpleNamespace(
        eval_step=recorder.eval_step, schedule=lambda step: 0.1, training_flops=lambda image_size: 1e9
    )
    session = RunSession(
        config=recorder.config,
        dataset="nowhere",
        mesh=sharding.make_mesh(1),
        data=recorder,
        setup=setup,
        start_values={},
        run=SimpleNamespace(folder=None),
        mirror=SimpleNamespace(folder=Path("nowhere")),
        checkpointer=recorder,
        start_step=start,
        state=TrainState(jnp.int32(start), Variables({}, {}), {}),
        early_stopping=EarlyStopping(),
        train_steps={recorder.config.data.image_size: recorder.train_step},
        compilation=[],
        peak_flops=1e12,
    )
    try:
        result = loop.fit(session, recorder, TrainingDisplay(6, start, 2), preemption or Preemption())
    except UserError as error:
        recorder.events.append(str(error))
    return recorder, result


def without_reads(events: list[Any]) -> list[Any]:
    return [event for event in events if event[0] != "read"]


def test_evaluate_old_state_save_take_batch_step_log_previous() -> None:
    assert without_reads(run()) == [
        ("step", 0),
        ("step", 1),
        ("log", "train", 1),
        ("step", 2),
        ("log", "train", 2),
        ("log", "train", 3),
        "evaluate",
        ("log", "val", 3),
        ("save", 3, True),
        ("step", 3),
        ("step", 4),
        ("log", "train", 4),
        ("step", 5),
        ("log", "train", 5),
        ("log", "train", 6),
        "evaluate",
        ("log", "val", 6),
        ("save", 6, True),
        "wait",
    ]


def test_going_on_neither_repeats_nor_leaves_out() -> None:
    whole = without_reads(run())
    assert without_reads(run(start=3)) == whole[whole.index(("save", 3, True)) + 1 :]


def test_a_finished_run_does_nothing() -> None:
    assert run(start=6) == ["wait"]


@pytest.mark.parametrize("start", [0, 5])
def test_speed_counts_every_step_with_its_time_and_not_the_opening_of_the_data(
    start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(step_logger, "time", clock)
    _, result = fit(start, clock=clock, batch_size=8)
    assert result and result.images_per_second == pytest.approx(4.0)


def test_no_batch_is_read_beyond_the_last() -> None:
    assert [event for event in run() if event[0] == "read"] == [("read", step) for step in range(6)]


def test_saving_within_an_epoch_does_not_evaluate() -> None:
    events = run(checkpoint=CheckpointConfig(every_steps=2))
    assert [e for e in events if e[0] == "save"] == [
        ("save", 2, False),
        ("save", 3, True),
        ("save", 4, False),
        ("save", 6, True),
    ]
    # A save comes after the lines of its steps: resuming from it takes out none that will not come again.
    assert events.index(("log", "train", 2)) < events.index(("save", 2, False))


def test_epochs_between_checkpoints_are_neither_evaluated_nor_saved() -> None:
    events = run(num_epochs=3, checkpoint=CheckpointConfig(every_epochs=2))
    assert [e for e in events if e == "evaluate" or e[0] == "save"] == [
        "evaluate",
        ("save", 6, True),
        # The last epoch always is.
        "evaluate",
        ("save", 9, True),
    ]
    assert ("log", "train", 3) in events


def test_logging_as_often_as_asked() -> None:
    events = run(log_every_steps=4)
    assert [e for e in events if e[:2] == ("log", "train")] == [("log", "train", 4), ("log", "train", 6)]


def test_the_logged_learning_rate_is_that_of_the_plateau() -> None:
    optim = OptimConfig(schedule="plateau", plateau_epochs=1, decay_factor=0.5)
    # No evaluation is better than the first.
    recorder, _ = fit(num_epochs=4, optim=optim)
    assert recorder.rates == pytest.approx([*[0.1] * 6, *[0.05] * 3, *[0.025] * 3])


@pytest.mark.parametrize("nan_at", [2, 3, 4])
def test_a_broken_state_is_reported_before_it_is_saved(nan_at: int) -> None:
    events = run(nan_at=nan_at)
    assert ("log", "train", nan_at) not in events
    assert [e for e in events if e[0] == "save"] == [("save", 3, True)][: nan_at > 3]
    assert events[-1].startswith(f"the gradient norm is nan at step {nan_at}: lower optim.learning_rate")
