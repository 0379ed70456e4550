"""Images that grow with the epochs, and what a config cannot ask for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import Config, DataConfig, ModelConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.training import setup
from butterflyer_jax.training import state as state_lib
from tests.helpers import trainings


def growing(start: int, end: int, head: str = "gap") -> Config:
    return Config(data=DataConfig(image_size=end, start_image_size=start), model=ModelConfig(head=head))


@pytest.mark.parametrize(
    ("start", "end", "sizes"),
    [
        (0, 224, [224]),
        (128, 224, [128, 160, 192, 224]),
        (96, 100, [96, 100]),
        (224, 224, [224]),
        (64, 224, [64, 96, 160, 224]),
    ],
)
def test_sizes_grow_in_stages(start: int, end: int, sizes: list[int]) -> None:
    config = growing(start, end).validate()
    assert setup.image_sizes(config) == sizes
    taken = [setup.image_size_at(config, done, 100) for done in range(100)]
    assert list(dict.fromkeys(taken)) == sizes
    assert max(taken.count(size) for size in sizes) - min(taken.count(size) for size in sizes) <= 1
    assert setup.image_size_at(config, 100, 100) == end


@pytest.mark.parametrize("config", [growing(16, 64), growing(96, 64), growing(32, 64, "fc")])
def test_sizes_that_cannot_be_are_reported(config: Config) -> None:
    with pytest.raises(UserError, match="start_image_size"):
        config.validate()


def test_a_smaller_stage_trains_on_smaller_images_and_costs_less() -> None:
    config = trainings.small_config()
    config = config.replace(
        data=DataConfig(image_size=64, start_image_size=32), model=dataclasses.replace(config.model, head="gap")
    ).validate()
    made, mesh = trainings.setup_on(config)
    assert [*made.train_steps] == [32, 64]
    assert made.training_flops(32) < 0.3 * made.training_flops(64)
    state = state_lib.create_state(made.model, made.tx, config, made.abstract_state)
    batch = sharding.put_batch(trainings.make_batch(config, 0), mesh)
    for size in (32, 64):
        state, metrics = made.train_steps[size](state, batch)
        assert np.isfinite(float(metrics["loss"]))
    assert int(state.step) == 2


def test_runs_of_another_rate_or_schedule_compile_the_same_program() -> None:
    """So the trials of a sweep find it in XLA's cache."""
    texts = set()
    for schedule, rate, warmup in (("cosine", 0.1, 0.0), ("step", 0.01, 1.0)):
        config = trainings.small_config()
        config.optim = dataclasses.replace(config.optim, schedule=schedule, learning_rate=rate, warmup_epochs=warmup)
        made, mesh = trainings.setup_on(config)
        batch = sharding.put_batch(trainings.make_batch(config, 0), mesh)
        texts.add(made.train_step.lower(made.abstract_state, batch).as_text())
    assert len(texts) == 1
