from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax.config import OptimConfig
from butterflyer_jax.metrics.losses import class_weights, cross_entropy
from butterflyer_jax.training.optimizer import (
    average,
    global_norm,
    layer_multipliers,
    make_optimizer,
    make_schedule,
    mask_by_path,
)


def test_warmup_then_cosine_to_zero() -> None:
    schedule = make_schedule(OptimConfig(learning_rate=0.4, warmup_epochs=2), steps_per_epoch=5, total_steps=50)
    rates = np.array([schedule(step) for step in range(51)])
    assert rates[0] > 0
    assert rates.argmax() == 10
    assert rates[10] == pytest.approx(0.4)
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[30] == pytest.approx(0.2)
    assert rates[50] == pytest.approx(0, abs=1e-8)


def test_constant_without_warmup() -> None:
    schedule = make_schedule(OptimConfig(learning_rate=0.4, warmup_epochs=0, schedule="constant"), 5, 50)
    np.testing.assert_allclose([schedule(step) for step in range(50)], 0.4, rtol=1e-6)


def test_a_warmup_longer_than_the_run_still_ends() -> None:
    schedule = make_schedule(OptimConfig(learning_rate=0.4, warmup_epochs=100), 1, 3)
    assert 0 < float(schedule(0)) < float(schedule(2)) <= 0.4 + 1e-6


def test_steps_count_from_the_start_of_the_run() -> None:
    config = OptimConfig(learning_rate=0.4, warmup_epochs=1, schedule="step", decay_epochs=2, decay_factor=0.5)
    schedule = make_schedule(config, steps_per_epoch=5, total_steps=30)
    np.testing.assert_allclose(
        [schedule(at) for at in (5, 9, 10, 19, 20, 29)], [0.4, 0.4, 0.2, 0.2, 0.1, 0.1], rtol=1e-6
    )
    long_warmup = make_schedule(dataclasses.replace(config, warmup_epochs=3), 5, 30)
    np.testing.assert_allclose([long_warmup(at) for at in (15, 19, 20)], [0.2, 0.2, 0.1], rtol=1e-6)


def test_polynomial_to_zero() -> None:
    config = OptimConfig(learning_rate=0.4, warmup_epochs=0, schedule="polynomial", polynomial_power=2)
    schedule = make_schedule(config, 5, 20)
    np.testing.assert_allclose([schedule(at) for at in (0, 10, 20)], [0.4, 0.1, 0.0], atol=1e-7)


LAYERS = {"block1_conv1": 0, "block1_bn1": 0, "block2_conv1": 1, "block10_conv1": 2, "fc1": 3, "fc2": 4, "logits": 5}


def test_layers_further_from_the_last_move_less() -> None:
    params = {
        name: {"kernel": jnp.ones(1), "bias": jnp.ones(1)} for name in reversed(LAYERS) if name != "block10_conv1"
    }
    multipliers = layer_multipliers(params, 0.5)
    found = {name: layer["kernel"] for name, layer in multipliers.items()}
    assert found == {
        "logits": 1.0,
        "fc2": 0.5,
        "fc1": 0.25,
        "block2_conv1": 0.125,
        "block1_conv1": 0.0625,
        "block1_bn1": 0.0625,
    }
    config = OptimConfig(weight_decay=0, momentum=0)
    config.layer_decay = 0.5
    tx = make_optimizer(config)
    updates, _ = tx.update(params, tx.init(params), params, learning_rate=1.0)
    np.testing.assert_allclose(updates["fc1"]["bias"], -0.25)


def test_the_moving_average_forgets_the_start_and_then_decays() -> None:
    config = OptimConfig(average="ema", ema_decay=0.9)
    averaged = 5.0
    for step in range(1, 200):
        averaged = average(config, averaged, 1.0 * step, jnp.int32(step), 10)
    # Of a straight line it lags decay / (1 - decay) steps behind.
    assert float(averaged) == pytest.approx(199 - 9, abs=0.01)
    first = average(config, 5.0, 1.0, jnp.int32(1), 10)
    assert float(first) == pytest.approx(2 / 11 * 5 + 9 / 11)


def test_swa_is_the_mean_of_the_ends_of_epochs() -> None:
    config = OptimConfig(average="swa", swa_start_epoch=2)
    averaged, seen = 0.0, {}
    for step in range(1, 21):
        averaged = average(config, averaged, float(step), jnp.int32(step), 4)
        seen[step] = float(averaged)
    # Until the end of the second epoch the weights themselves; then the mean of steps 8, 12, 16, 20.
    assert [seen[step] for step in (3, 7, 8, 11, 12, 15, 16, 20)] == pytest.approx([3, 7, 8, 8, 10, 10, 12, 14])


PARAMS = {"conv": {"kernel": jnp.ones(3), "bias": jnp.ones(2)}, "bn": {"scale": jnp.ones(2)}}


def test_masks_go_by_the_path() -> None:
    assert mask_by_path(PARAMS, r"^/conv/") == {"conv": {"kernel": True, "bias": True}, "bn": {"scale": False}}


@pytest.mark.parametrize("name", ["sgd", "adamw", "lion", "lamb"])
def test_decay_reaches_kernels_alone(name: str) -> None:
    tx = make_optimizer(OptimConfig(name=name, weight_decay=0.5))
    nothing = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = tx.update(nothing, tx.init(PARAMS), PARAMS, learning_rate=0.1)
    assert (updates["conv"]["kernel"] < 0).all()
    assert not updates["conv"]["bias"].any()
    assert not updates["bn"]["scale"].any()


def test_clipping_bounds_the_step() -> None:
    config = OptimConfig(weight_decay=0, momentum=0)
    config.gradient_clip_norm = 0.5
    tx = make_optimizer(config)
    updates, _ = tx.update(jax.tree.map(lambda x: 100 * x, PARAMS), tx.init(PARAMS), PARAMS, learning_rate=1.0)
    norm = sum((x**2).sum() for x in jax.tree.leaves(updates)) ** 0.5
    assert norm == pytest.approx(0.5, rel=1e-4)


def test_global_norm_is_that_of_all_numbers() -> None:
    rng = np.random.default_rng(0)
    tree = {"kernel": rng.normal(size=(3, 3, 64, 70)), "bias": [rng.normal(size=5), np.array(2.0)]}
    norm = jax.jit(global_norm)(jax.tree.map(jnp.float32, tree))
    np.testing.assert_allclose(norm, np.linalg.norm(np.concatenate([x.ravel() for x in jax.tree.leaves(tree)])), 1e-6)
    assert np.isnan(global_norm({"kernel": jnp.array([1.0, jnp.nan])}))
    assert not global_norm({})


def test_gradients_within_the_limit_are_left_as_they_are() -> None:
    plain, clipping = (OptimConfig(weight_decay=0, gradient_clip_norm=limit) for limit in (0.0, 1e6))
    first, second = (
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, learning_rate=1.0)[0]
        for tx in (make_optimizer(plain), make_optimizer(clipping))
    )
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_cross_entropy_with_and_without_smoothing() -> None:
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    labels = jnp.array([0, 2])
    np.testing.assert_allclose(cross_entropy(logits, labels), -np.log([0.7, 0.5]), rtol=1e-5)
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(cross_entropy(logits, labels, 0.3), -(targets * logits).sum(1), rtol=1e-5)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_class_weights_go_from_photos_to_species(balance: float) -> None:
    counts = np.array([680, 1, 0, 19])
    weights = class_weights(counts, balance)
    assert weights[2] == 0
    np.testing.assert_allclose(weights[0] / weights[1], 680**-balance, rtol=1e-5)
    # The mean over all photos stays what it was: the learning rate need not change.
    np.testing.assert_allclose((weights * counts).sum() / counts.sum(), 1, rtol=1e-6)
