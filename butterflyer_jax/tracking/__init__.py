"""Where a run is told of: metrics.jsonl always, W&B and TensorBoard where the config says so.

All are `Tracker`s, and so are several of them together (`Trackers`). Only metrics.jsonl may stop a run, as it belongs
to it; what another cannot do is said once, and the run goes on without it.
"""

from __future__ import annotations

from butterflyer_jax.tracking.jsonl import JsonlTracker
from butterflyer_jax.tracking.tracker import Model, Pictures, Sample, Tracker
from butterflyer_jax.tracking.trackers import Optional, Trackers, open_trackers

__all__ = ["JsonlTracker", "Model", "Optional", "Pictures", "Sample", "Tracker", "Trackers", "open_trackers"]
