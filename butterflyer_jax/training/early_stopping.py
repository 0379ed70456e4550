"""Early-stopping and LR-plateau state, saved with every checkpoint.

So a resumed run decides as an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from butterflyer_jax.config import Config
from butterflyer_jax.metrics.classification import is_better


@dataclass
class EarlyStopping:
    """Summary of the evaluations so far.

    Attributes:
      best: best value of `checkpoint.metric`; None before the first evaluation.
      epochs_since_best: number of epochs since the best evaluation.
      epochs_since_decay: number of epochs since the best evaluation or the last decay of schedule plateau.
      rate_scale: factor that schedule plateau applies to the learning rate.
    """

    best: float | None = None
    epochs_since_best: int = 0
    epochs_since_decay: int = 0
    rate_scale: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a dict for JSON."""
        return asdict(self)

    def add(self, evaluation: Mapping[str, float], config: Config) -> None:
        """Adds the evaluation of an epoch."""
        value = evaluation[config.checkpoint.metric]
        if self.best is None or is_better(value, self.best, config.checkpoint.metric):
            self.best, self.epochs_since_best, self.epochs_since_decay = value, 0, 0
            return
        self.epochs_since_best += config.checkpoint.every_epochs
        self.epochs_since_decay += config.checkpoint.every_epochs
        if config.optim.schedule == "plateau" and self.epochs_since_decay >= config.optim.plateau_epochs:
            self.rate_scale *= config.optim.decay_factor
            self.epochs_since_decay = 0

    def reason_to_stop(self, config: Config) -> str | None:
        """Returns why the run should stop, or None."""
        metric, stop = config.checkpoint.metric, config.stop
        if self.best is None:
            return None
        if stop.target and not is_better(stop.target, self.best, metric):
            return f"val {metric} {self.best:.4g} reached the target of {stop.target:g}"
        if stop.patience and self.epochs_since_best >= stop.patience:
            return f"val {metric} has not become better than {self.best:.4g} for {self.epochs_since_best} epochs"
        return None
