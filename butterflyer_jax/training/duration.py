"""Estimate of a run's duration from its second step, with a warning if it is long."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax

from butterflyer_jax.config import Config
from butterflyer_jax.console import say
from butterflyer_jax.distributed import sharding
from butterflyer_jax.models import create_model
from butterflyer_jax.models import variables as variables_lib
from butterflyer_jax.training.session import RunSession
from butterflyer_jax.training.setup import training_flops
from butterflyer_jax.training.state import TrainState

# Duration from which on a run is warned of, hours.
LONG_HOURS = 1.0
# The network of configs/cpu.py, which a CPU trains in minutes.
SMALL_MODEL: dict[str, Any] = {"variant": "vgg11", "batch_norm": True, "head": "gap", "width_multiplier": 0.25}
SMALL_IMAGE = 96
# Share of the computation below which the small network is recommended.
WORTHWHILE = 0.5


class DurationCheck:
    """Times the second step of a process and warns of a long run; the first step also sets up the device."""

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._measured = session.start_step + 1
        self._began = 0.0

    def before_step(self, step: int, state: TrainState) -> None:
        """Starts the clock before the step that is timed."""
        if step == self._measured:
            jax.block_until_ready(state)
            self._began = time.perf_counter()

    def after_step(self, step: int, state: TrainState) -> None:
        """Stops the clock after the step that is timed, and prints the warning if the run is long."""
        if step != self._measured:
            return
        jax.block_until_ready(state)
        seconds = time.perf_counter() - self._began
        session = self._session

        def small_share() -> float:
            own = session.setup.training_flops(session.config.data.image_size)
            return small_cost(session.config, len(session.data.species)) / own

        on_cpu = sharding.on_cpu(session.mesh)
        warning = warn(seconds, session.total_steps - step, session.config, on_cpu, small_share)
        if warning:
            say(warning)


def warn(seconds: float, num_steps: int, config: Config, on_cpu: bool, small_share: Callable[[], float]) -> str:
    """Returns a warning of a long run, with what to choose instead; empty where the run is short.

    Args:
      seconds: duration of one step.
      num_steps: number of steps left.
      config: config of the run.
      on_cpu: whether the run trains on a CPU.
      small_share: returns the computation of the small network, as a share of this one's; asked on a CPU alone.
    """
    hours = seconds * num_steps / 3600
    if hours < LONG_HOURS:
        return ""
    warning = (
        f"warning: this run takes about {_duration(hours)} on this machine ({num_steps:,} steps of {seconds:.2g} s)"
    )
    if not on_cpu:
        return warning
    if (share := small_share()) < WORTHWHILE:
        fields = [f"--config.model.{name}={value}" for name, value in SMALL_MODEL.items()]
        fields.append(f"--config.data.image_size={SMALL_IMAGE}")
        return (
            f"{warning}; the network of configs/cpu.py takes about {_duration(hours * share)}: stop, and take "
            f"that config or {' '.join(fields)} with another --output"
        )
    epochs = max(1, int(config.num_epochs / hours))
    return f"{warning}; --config.num_epochs={epochs} with another --output takes about an hour"


def small_cost(config: Config, num_species: int) -> float:
    """Returns the floating-point operations of training the small network on one image."""
    model_config = dataclasses.replace(config.model, **SMALL_MODEL)
    small = config.replace(model=model_config, data=dataclasses.replace(config.data, image_size=SMALL_IMAGE))
    model = create_model(model_config, num_species)
    params = jax.eval_shape(lambda: variables_lib.initial_variables(model, small)).params
    return training_flops(params, SMALL_IMAGE)


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"
