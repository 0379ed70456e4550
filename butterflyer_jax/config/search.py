"""Search space of a sweep: values of config fields for its trials, returned by `get_sweep()` of a config file.

Knows neither Optuna nor W&B; `Sweep.wandb` writes what `wandb sweep` reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from butterflyer_jax.config.schema import Config, flatten
from butterflyer_jax.errors import UserError

SAMPLERS = ("tpe", "random", "qmc")
PRUNERS = ("none", "median", "hyperband")
# What Optuna and a flag `--config.FIELD=VALUE` both hold; other values are written as text.
SCALARS = (bool, int, float, str)


@dataclass(frozen=True)
class Uniform:
    """Interval of a number; a whole number for an integer config field.

    Attributes:
      low: smallest value.
      high: largest value.
      log: sample evenly over the logarithm.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Sweep:
    """The values that trials take.

    Attributes:
      grid: values by config field, such as {"optim.learning_rate": [0.1, 0.01]}; every combination is tried.
      random: what the sampler chooses by config field: a `Uniform`, or a list of values.
      num_trials: trials for each combination of `grid`, where the sampler chooses something; more may be added later.
      seed: seed of the sampler.
      sampler: "tpe" (tree-structured Parzen estimator, learns from earlier trials), "random", or "qmc" (Sobol).
      pruner: "none", or what stops a trial early: "median" (worse than the median of the others at the same
        evaluation) or "hyperband" (Li et al. 2018, arXiv:1603.06560).
    """

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    random: Mapping[str, Uniform | Sequence[Any]] = field(default_factory=dict)
    num_trials: int = 10
    seed: int = 0
    sampler: str = "tpe"
    pruner: str = "none"

    @property
    def fields(self) -> list[str]:
        """Config fields that trials differ in."""
        return [*self.grid, *self.random]

    def combinations(self) -> list[dict[str, Any]]:
        """Returns the fixed values of each trial, in order; a larger `num_trials` only appends."""
        products = itertools.product(*(map(scalar, values) for values in self.grid.values()))
        grid = [dict(zip(self.grid, values, strict=True)) for values in products]
        return grid * (self.num_trials if self.random else 1)

    def check(self, config: Config) -> None:
        """Raises a UserError where the sweep names unknown fields, has an empty interval, or tries nothing."""
        known = flatten(config)
        for name in self.fields:
            if name not in known:
                raise UserError(f"the sweep tries an unknown config field {name}")
        if both := set(self.grid) & set(self.random):
            raise UserError(f"the sweep has {', '.join(sorted(both))} in grid and in random: keep one")
        for name, space in {**self.grid, **self.random}.items():
            if isinstance(space, Uniform):
                if space.low > space.high or (space.log and space.low <= 0):
                    raise UserError(f"the sweep has no values for {name}: {space}")
                if known[name][1] not in (int, float):
                    raise UserError(f"config field {name} is not a number: give the sweep a list of values for it")
            elif isinstance(space, str) or not len(space):
                raise UserError(f"the sweep has no values for {name}: give a list")
        for what, name, choices in (("sampler", self.sampler, SAMPLERS), ("pruner", self.pruner, PRUNERS)):
            if name not in choices:
                raise UserError(f"the sweep has no {what} {name!r}: take one of {', '.join(choices)}")
        if not self.fields or not self.combinations():
            raise UserError("the sweep tries nothing: fill grid or random, and num_trials above 0")

    def wandb(
        self, config: Config, config_file: str, input: str, output: str, overrides: Sequence[str]
    ) -> dict[str, Any]:
        """Returns the sweep as `wandb sweep FILE` reads it; its agents run the training command.

        Args:
          config: config that the trials vary.
          config_file: file that defines it.
          input: data set, as for `train`.
          output: folder of the run folders.
          overrides: config fields set for every trial, such as "num_epochs=10".
        """
        metric = config.checkpoint.metric
        known = flatten(config)
        parameters: dict[str, Any] = {}
        for name, space in {**self.grid, **self.random}.items():
            if not isinstance(space, Uniform):
                parameters[f"config.{name}"] = {"values": list(map(scalar, space))}
                continue
            if known[name][1] is int:
                kind = "q_log_uniform_values" if space.log else "int_uniform"
            else:
                kind = "log_uniform_values" if space.log else "uniform"
            parameters[f"config.{name}"] = {"distribution": kind, "min": space.low, "max": space.high}
        # The agent gives each run its id, which names the run folder too.
        command = (
            f'exec python -m butterflyer_jax.train --config "{config_file}" --input "{input}" '
            f'--output "{output}/$WANDB_RUN_ID" --config.tracking.wandb=online "$@"'
        )
        return {
            "method": "random" if self.random else "grid",
            "metric": {"name": f"val/{metric}", "goal": "minimize" if metric == "loss" else "maximize"},
            "parameters": parameters,
            "command": ["bash", "-c", command, "bash", *(f"--config.{one}" for one in overrides), "${args}"],
        }


def scalar(value: Any) -> Any:
    """Returns a value that a storage of trials can hold: a number, a bool or text; others as text."""
    return value if isinstance(value, SCALARS) else str(value)
