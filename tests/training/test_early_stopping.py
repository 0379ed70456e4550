"""When a run is good enough, or gets no better; and notices from outside the process."""

from __future__ import annotations

import pytest

from butterflyer_jax.config import CheckpointConfig, Config, OptimConfig, StopConfig
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.training.early_stopping import EarlyStopping


def after(values: list[float], config: Config) -> EarlyStopping:
    progress = EarlyStopping()
    for value in values:
        # Each time as if from a checkpoint.
        progress = EarlyStopping(**progress.to_json())
        progress.add({config.checkpoint.metric: value, "loss": 1.0} | {config.checkpoint.metric: value}, config)
    return progress


@pytest.mark.parametrize(
    ("metric", "values", "stops"),
    [
        ("top1", [0.1, 0.2, 0.2], False),
        ("top1", [0.1, 0.2, 0.2, 0.1], True),
        ("top1", [0.1, 0.2, 0.2, 0.3, 0.1], False),
        ("loss", [2.0, 1.0, 1.5], False),
        ("loss", [2.0, 1.0, 1.5, 1.0], True),
    ],
)
def test_patience(metric: str, values: list[float], stops: bool) -> None:
    config = Config(checkpoint=CheckpointConfig(metric=metric), stop=StopConfig(patience=2))
    reason = after(values, config).reason_to_stop(config)
    assert bool(reason) is stops
    if reason:
        assert "not become better" in reason


@pytest.mark.parametrize(("metric", "target", "reached"), [("top1", 0.9, [0.5, 0.9]), ("loss", 0.5, [0.9, 0.4])])
def test_target(metric: str, target: float, reached: list[float]) -> None:
    config = Config(checkpoint=CheckpointConfig(metric=metric), stop=StopConfig(target=target))
    assert after(reached[:1], config).reason_to_stop(config) is None
    assert "reached the target" in (after(reached, config).reason_to_stop(config) or "")
    assert EarlyStopping().reason_to_stop(config) is None


def test_a_plateau_decays_again_and_again() -> None:
    config = Config(optim=OptimConfig(schedule="plateau", plateau_epochs=2, decay_factor=0.1))
    scales = [after([0.5] * (1 + epochs), config).rate_scale for epochs in range(6)]
    assert scales == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert after([0.5, 0.5, 0.5, 0.6, 0.6], config).rate_scale == pytest.approx(0.1)


def test_equal_evaluations_are_ranked_by_the_loss() -> None:
    better, worse = {"top1": 0.5, "loss": 1.0}, {"top1": 0.5, "loss": 2.0}
    assert rank(better, "top1") > rank(worse, "top1")
    assert rank({"top1": 0.1, "loss": 1.0}, "loss") > rank({"top1": 0.9, "loss": 2.0}, "loss")


def test_patience_counts_epochs_where_not_each_is_evaluated() -> None:
    config = Config(checkpoint=CheckpointConfig(every_epochs=3), stop=StopConfig(patience=4))
    assert after([0.5, 0.4], config).reason_to_stop(config) is None
    assert "for 6 epochs" in (after([0.5, 0.4, 0.4], config).reason_to_stop(config) or "")
