"""The peak, what a step uses of it, and traces."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import pytest

from butterflyer_jax.config import ProfileConfig
from butterflyer_jax.models import winograd
from butterflyer_jax.training import profiling
from tests.helpers import trainings


def test_the_peak_is_a_number_of_this_machine() -> None:
    assert 1e9 < profiling.measure_peak_flops(jnp.float32) < 1e14


def test_figures_a_device() -> None:
    cost = profiling.Cost(flops_per_image=50e9, num_devices=8, peak_flops=800e12)
    figures = cost.figures(images_per_second=40_000)
    assert figures == {"images_per_second_per_device": 5000, "tflops_per_device": 250.0, "mfu": 0.3125}


def test_training_flops_are_those_that_xla_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would count the transforms of Winograd too.
    monkeypatch.setattr(winograd, "is_faster", lambda *_: False)
    config = trainings.small_config(augment=trainings.NO_AUGMENTATION)
    config.model.batch_norm, config.model.dropout = False, 0.0
    config.data.image_size = 64
    setup, mesh = trainings.setup_on(config)
    from butterflyer_jax.training import state

    spec = {name: (x.shape[1:], x.dtype) for name, x in trainings.make_batch(config, 0).items()}
    batch = state.abstract_batch(spec, config.batch_size, mesh)
    counted = setup.train_step.lower(setup.abstract_state, batch).compile().cost_analysis()["flops"]
    # XLA leaves out products with the padding, and counts everything else: ReLU, pooling, the update.
    assert config.batch_size * setup.training_flops(64) == pytest.approx(counted, rel=0.2)


@pytest.mark.parametrize("steps", [6, 3], ids=["whole", "cut short"])
def test_a_trace_of_the_steps_asked_for(steps: int, tmp_path: Path) -> None:
    window = profiling.ProfileWindow(ProfileConfig(start_step=2, num_steps=2), tmp_path)
    for step in range(steps):
        window.before_step(step, jnp.zeros(1))
        assert window._running == (step in (2, 3))
    window.close(jnp.zeros(1))
    assert len(list(tmp_path.rglob("*.xplane.pb"))) == 1


def test_no_trace_unasked(tmp_path: Path) -> None:
    window = profiling.ProfileWindow(ProfileConfig(), tmp_path)
    for step in range(20):
        window.before_step(step, None)
    window.close(None)
    assert list(tmp_path.iterdir()) == []
