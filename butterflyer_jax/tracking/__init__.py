"""Trackers of a run: metrics.jsonl always, W&B and TensorBoard if the config enables them.

All are `Tracker`s, and so are several of them together (`Trackers`). Only metrics.jsonl may stop a run, as it is part
of it; a failure of another is logged once, and the run continues without that tracker.
"""

from __future__ import annotations

from butterflyer_jax.tracking.jsonl import JsonlTracker
from butterflyer_jax.tracking.tracker import Model, Pictures, Sample, Tracker
from butterflyer_jax.tracking.trackers import Optional, Trackers, open_trackers

__all__ = ["JsonlTracker", "Model", "Optional", "Pictures", "Sample", "Tracker", "Trackers", "open_trackers"]
