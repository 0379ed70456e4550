"""Several trackers as one; one that fails, and a process that does not write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from butterflyer_jax.config import TrackingConfig
from butterflyer_jax.tracking import JsonlTracker, Model, Optional, Pictures, Trackers, open_trackers

RECORD = {"step": 1, "epoch": 0.5, "split": "train", "loss": 1.0}
PICTURES = Pictures(1, ("a", "b"), np.eye(2, dtype=np.int32), ())
MODEL = Model(1, {"top1": 0.5}, {})


class Notes:
    """Writes down its calls, and fails at one of it."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls: list[Any] = []
        self._fails_at = fails_at

    def _note(self, name: str, value: Any) -> None:
        if name == self._fails_at:
            raise RuntimeError(f"no {name}\nhere")
        self.calls.append((name, value))

    def log(self, record: Any) -> None:
        self._note("log", record)

    def show(self, pictures: Any) -> None:
        self._note("show", pictures)

    def keep_model(self, model: Any) -> None:
        self._note("keep_model", model)

    def close(self, failed: bool = False) -> None:
        self._note("close", failed)


def tell_everything(trackers: Trackers) -> None:
    with trackers:
        trackers.log(RECORD)
        trackers.show(PICTURES)
        trackers.keep_model(MODEL)


def test_each_gets_everything() -> None:
    first, second = Notes(), Notes()
    tell_everything(Trackers([first, second]))
    assert first.calls == second.calls
    assert first.calls == [("log", RECORD), ("show", PICTURES), ("keep_model", MODEL), ("close", False)]


def test_an_error_of_the_run_reaches_each() -> None:
    tracker = Notes()
    with pytest.raises(ZeroDivisionError), Trackers([tracker]):
        _ = 1 / 0
    assert tracker.calls == [("close", True)]


@pytest.mark.parametrize("failing", ["log", "show", "keep_model", "close"])
def test_one_that_fails_is_said_once_and_left_out(failing: str) -> None:
    broken, sound, said = Notes(failing), Notes(), []
    trackers = Trackers([Optional("Broken", lambda: broken, said.append), sound])
    trackers.log(RECORD)
    tell_everything(trackers)
    assert said == [f"Broken: no {failing} here; the run continues without it"]
    assert [name for name, _ in sound.calls] == ["log", "log", "show", "keep_model", "close"]
    # It is closed all the same, at the end, and asked for nothing more.
    before = {"log": [], "show": ["log", "log"], "keep_model": ["log", "log", "show"]}
    before["close"] = [*before["keep_model"], "keep_model"]
    assert broken.calls[: len(before[failing])] == sound.calls[: len(before[failing])]
    assert broken.calls[len(before[failing]) :] == ([] if failing == "close" else [("close", True)])


def test_one_that_cannot_be_opened_is_left_out() -> None:
    said: list[str] = []

    def fail() -> Notes:
        raise TimeoutError

    tell_everything(Trackers([Optional("W&B", fail, said.append)]))
    assert said == ["W&B: TimeoutError; the run continues without it"]


def test_metrics_are_no_luxury(tmp_path: Path) -> None:
    """What the run itself cannot do without is an error, as a full disk is."""
    with pytest.raises(OSError):
        open_trackers(tmp_path / "nowhere", TrackingConfig(), {}, 0, print)


def test_only_one_process_writes(tmp_path: Path) -> None:
    config = TrackingConfig(wandb="offline", tensorboard=True)
    tell_everything(open_trackers(tmp_path, config, {}, 0, pytest.fail, writes=False))
    assert list(tmp_path.iterdir()) == []


def test_by_default_there_is_the_file_alone(tmp_path: Path) -> None:
    tell_everything(open_trackers(tmp_path, TrackingConfig(), {}, 0, pytest.fail))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize(("name", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
def test_the_environment_switches_wandb_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    tell_everything(open_trackers(tmp_path, TrackingConfig(wandb="offline"), {}, 0, pytest.fail))
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_an_interrupt_is_not_swallowed(tmp_path: Path) -> None:
    def interrupt() -> JsonlTracker:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Optional("W&B", interrupt, pytest.fail)
