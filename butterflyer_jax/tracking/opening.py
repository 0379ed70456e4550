"""Which trackers a run has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from butterflyer_jax.config import TrackingConfig
from butterflyer_jax.tracking.fan_out import Optional, Trackers
from butterflyer_jax.tracking.jsonl import JsonlTracker
from butterflyer_jax.tracking.tracker import Tracker

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


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
      folder: of the run, local.
      config: which trackers.
      about: the resolved config and whatever else tells of the run, as JSON can hold it.
      start_step: that the run goes on from; what was told of later steps is told again.
      say: takes what a tracker has to say, in one line.
      writes: whether this process is the one that tells; the others get trackers that do nothing.

    Raises:
      OSError: metrics.jsonl cannot be opened.
    """
    if not writes:
        return Trackers()

    def wandb() -> Tracker:
        from butterflyer_jax.tracking.wandb_tracker import WandbTracker

        return WandbTracker(folder, config, about, say)

    def tensorboard() -> Tracker:
        from butterflyer_jax.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(folder / TENSORBOARD_FOLDER, about, start_step)

    trackers: list[Tracker] = [JsonlTracker(folder / METRICS_FILE, start_step)]
    if config.wandb != "off":
        trackers.append(Optional("W&B", wandb, say))
    if config.tensorboard:
        trackers.append(Optional("TensorBoard", tensorboard, say))
    return Trackers(trackers)
