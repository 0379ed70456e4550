"""Which values of config fields a sweep tries; for `get_sweep()` of a config file."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Uniform:
    """Draws a float between two values; evenly over their logarithm where `log`."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: random.Random) -> float:
        """Returns a value, rounded to four digits."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return float(f"{value:.4g}")


@dataclass(frozen=True)
class Sweep:
    """Which values are tried.

    Attributes:
      grid: values by config field, such as {"optim.learning_rate": [0.1, 0.01]}; all their combinations.
      random: what is drawn by config field: a `Uniform`, or a list of which each is as likely.
      num_trials: draws for each combination of the grid, where something is drawn.
      seed: of the draws.
    """

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    random: Mapping[str, Uniform | Sequence[Any]] = field(default_factory=dict)
    num_trials: int = 10
    seed: int = 0

    def trials(self) -> list[dict[str, Any]]:
        """Returns the values of each trial, by config field."""
        rng = random.Random(self.seed)
        combinations = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        if not self.random:
            return combinations

        def draw(one: Uniform | Sequence[Any]) -> Any:
            return one.draw(rng) if isinstance(one, Uniform) else rng.choice(one)

        return [
            combination | {name: draw(one) for name, one in self.random.items()}
            for combination in combinations
            for _ in range(self.num_trials)
        ]
