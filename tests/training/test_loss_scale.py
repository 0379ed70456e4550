"""float16: small gradients survive, an overflow costs a step and not the run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from butterflyer_jax.distributed import sharding
from butterflyer_jax.training import loss_scale
from butterflyer_jax.training import state as state_lib
from butterflyer_jax.training.loss_scale import LossScale
from tests.helpers import trainings


def test_the_scale_halves_on_an_overflow_and_doubles_after_many_good_steps() -> None:
    scale = LossScale(jnp.float32(8), jnp.int32(loss_scale.GROWTH_INTERVAL - 2))
    once = scale.update(jnp.bool(True))
    assert (float(once.value), int(once.good_steps)) == (8, loss_scale.GROWTH_INTERVAL - 1)
    twice = once.update(jnp.bool(True))
    assert (float(twice.value), int(twice.good_steps)) == (16, 0)
    over = once.update(jnp.bool(False))
    assert (float(over.value), int(over.good_steps)) == (4, 0)
    for _ in range(5):
        over = over.update(jnp.bool(False))
    assert float(over.value) == loss_scale.SMALLEST


def test_an_overflow_leaves_the_state_but_takes_the_step() -> None:
    config = trainings.small_config(precision="float16")
    setup, mesh = trainings.setup_on(config)
    state = state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state)
    # No gradient times this is a float32, let alone a float16.
    state = state.replace(loss_scale=LossScale(jnp.float32(3e38), jnp.int32(0)))
    before = jax.tree.map(np.array, state)
    batch = sharding.put_batch(trainings.make_batch(config, 0), mesh)
    state, metrics = setup.train_step(state, batch)
    assert int(state.step) == 1
    jax.tree.map(np.testing.assert_array_equal, state.variables, before.variables)
    jax.tree.map(np.testing.assert_array_equal, state.opt_state, before.opt_state)
    assert float(state.loss_scale.value) == np.float32(3e38) / 2
    assert (float(metrics["gradient_norm"]), float(metrics["loss_scale"])) == (0, np.float32(3e38))


def test_a_broken_state_shows_once_the_scale_cannot_shrink() -> None:
    config = trainings.small_config(precision="float16")
    setup, mesh = trainings.setup_on(config)
    state = state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state)
    broken = jax.tree.map(lambda x: x * jnp.nan, state.variables.params)
    state = state.replace(
        variables=state.variables.replace(params=broken), loss_scale=LossScale(jnp.float32(1), jnp.int32(0))
    )
    _, metrics = setup.train_step(state, sharding.put_batch(trainings.make_batch(config, 0), mesh))
    assert np.isnan(metrics["gradient_norm"])


def test_float16_follows_float32() -> None:
    config = trainings.small_config(augment=trainings.NO_AUGMENTATION)
    np.testing.assert_allclose(
        trainings.losses(config.replace(precision="float16"), 5), trainings.losses(config, 5), rtol=0.02
    )
