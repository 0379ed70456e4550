"""Several trackers as one, and trackers whose failure does not stop a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from butterflyer_jax import extras
from butterflyer_jax.config import TrackingConfig
from butterflyer_jax.tracking.jsonl import JsonlTracker
from butterflyer_jax.tracking.tracker import Model, Pictures, Tracker, in_one_line

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class Trackers(Tracker):
    """Forwards to each of its trackers, in order; a context manager that closes them."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = trackers

    def log(self, record: Mapping[str, Any]) -> None:
        """Hands on a record."""
        for tracker in self._trackers:
            tracker.log(record)

    def show(self, pictures: Pictures) -> None:
        """Hands on pictures."""
        for tracker in self._trackers:
            tracker.show(pictures)

    def keep_model(self, model: Model) -> None:
        """Hands on the model."""
        for tracker in self._trackers:
            tracker.keep_model(model)

    def close(self, failed: bool = False) -> None:
        """Closes each tracker."""
        for tracker in self._trackers:
            tracker.close(failed)

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)


class Optional(Tracker):
    """A tracker that may fail: the first error is logged in one line, and the tracker is not used any more."""

    def __init__(self, name: str, open_tracker: Callable[[], Tracker], say: Callable[[str], None]) -> None:
        """Opens the tracker.

        Args:
          name: name of the tracker in that line.
          open_tracker: creates the tracker; it may fail, too.
          say: logs a line.
        """
        self._name, self._say = name, say
        self._tracker = Tracker()
        self._left_behind = Tracker()
        self._try(lambda: setattr(self, "_tracker", open_tracker()))

    def log(self, record: Mapping[str, Any]) -> None:
        """Hands on a record."""
        self._try(lambda: self._tracker.log(record))

    def show(self, pictures: Pictures) -> None:
        """Hands on pictures."""
        self._try(lambda: self._tracker.show(pictures))

    def keep_model(self, model: Model) -> None:
        """Hands on the model."""
        self._try(lambda: self._tracker.keep_model(model))

    def close(self, failed: bool = False) -> None:
        """Closes the tracker, also after a failure; not earlier, as closing may take time."""
        self._try(lambda: self._tracker.close(failed))
        with contextlib.suppress(Exception):
            self._left_behind.close(failed=True)

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._left_behind, self._tracker = self._tracker, Tracker()
            self._say(f"{self._name}: {in_one_line(error)}; the run continues without it")


def _wandb_is_disabled() -> bool:
    """Returns whether the environment switches W&B off, as it does for W&B itself."""
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes")
    return disabled or os.environ.get("WANDB_MODE", "").lower() == "disabled"


def open_trackers(
    folder: Path,
    config: TrackingConfig,
    about: Mapping[str, Any],
    start_step: int,
    say: Callable[[str], None],
    writes: bool = True,
) -> Trackers:
    """Returns the trackers of a run, open.

    Args:
      folder: local side of the run folder.
      config: tracking config: which trackers to open.
      about: resolved config and further facts about the run, as JSON.
      start_step: step that the run starts or resumes at; later steps are logged again.
      say: logs a line about a tracker.
      writes: whether this is the main process; the others get trackers that do nothing.

    Raises:
      OSError: metrics.jsonl cannot be opened.
    """
    if not writes:
        return Trackers()

    def wandb() -> Tracker:
        extras.require("wandb", "wandb", purpose="tracking.wandb")
        from butterflyer_jax.tracking.wandb_tracker import WandbTracker

        return WandbTracker(folder, config, about, say)

    def tensorboard() -> Tracker:
        extras.require("tensorboard", "tensorboardX", purpose="tracking.tensorboard")
        from butterflyer_jax.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(folder / TENSORBOARD_FOLDER, about, start_step)

    trackers: list[Tracker] = [JsonlTracker(folder / METRICS_FILE, start_step)]
    if config.wandb != "off" and not _wandb_is_disabled():
        trackers.append(Optional("W&B", wandb, say))
    if config.tensorboard:
        trackers.append(Optional("TensorBoard", tensorboard, say))
    return Trackers(trackers)
