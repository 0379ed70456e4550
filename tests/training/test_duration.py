"""The warning of a long run."""

from __future__ import annotations

import pytest

from butterflyer_jax import load_config
from butterflyer_jax.config import Config
from butterflyer_jax.training.duration import small_cost, warn
from tests.conftest import ROOT
from tests.helpers import trainings


def test_a_short_run_is_not_warned_of() -> None:
    assert warn(0.2, 1000, Config(), True, lambda: 0.01) == ""


@pytest.mark.parametrize(
    ("seconds", "steps", "on_cpu", "share", "parts"),
    [
        (8.0, 6000, True, 0.006, ("about 13.3 h on this machine (6,000 steps of 8 s)", "cpu.py takes about 5 min")),
        (8.0, 60_000, True, 0.006, ("about 6 days", "--config.model.width_multiplier=0.25")),
        (1.0, 36_000, True, 0.9, ("about 10.0 h", "--config.num_epochs=10 with another --output takes about an hour")),
        (1.0, 36_000, False, 0.006, ("about 10.0 h",)),
    ],
)
def test_a_long_run_is_warned_of_with_what_to_choose_instead(
    seconds: float, steps: int, on_cpu: bool, share: float, parts: tuple[str, ...]
) -> None:
    warning = warn(seconds, steps, Config(), on_cpu, lambda: share)
    assert all(part in warning for part in parts)
    assert "\n" not in warning
    assert on_cpu == ("another --output" in warning)


def test_the_small_network_is_that_of_the_cpu_recipe() -> None:
    cpu = load_config(ROOT / "configs" / "cpu.py")
    setup, _ = trainings.setup_on(cpu)
    assert small_cost(Config(), trainings.NUM_CLASSES) == setup.training_flops(cpu.data.image_size)
    full, _ = trainings.setup_on(Config())
    assert small_cost(Config(), trainings.NUM_CLASSES) < 0.01 * full.training_flops(224)
