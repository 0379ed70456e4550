"""The train step with negatives: images that show no species."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from butterflyer_jax.config import AugmentConfig, OptimConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.training import step
from tests.training.test_step import NOTHING, NUM_CLASSES, SmallNet, make_batch, make_training, tiny_config


def with_negatives(batch: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return batch | {"label": np.where(np.arange(len(batch["label"])) < count, -1, batch["label"])}


def test_negatives_are_pulled_towards_no_answer_and_are_no_photos() -> None:
    config = tiny_config(augment=NOTHING, optim=OptimConfig(label_smoothing=0.1, negatives_weight=0.7))
    config.data.negatives = 4 / 16
    model = SmallNet(dropout=0.0)
    state, train_step, _, mesh = make_training(config, model)
    batch = with_negatives(make_batch(config), 4)
    images = (batch["image"] / 255 - np.array(config.model.mean)) / np.array(config.model.std)

    def objective(params: Any) -> tuple[jax.Array, tuple[Any, ...]]:
        variables = {"params": params, "batch_stats": state.variables.batch_stats}
        logits, _ = model.apply(variables, jnp.float32(images), train=True, mutable=["batch_stats"])
        answers = jax.nn.log_softmax(logits)
        targets = 0.9 * jax.nn.one_hot(batch["label"][4:], NUM_CLASSES) + 0.1 / NUM_CLASSES
        loss = -(targets * answers[4:]).sum(axis=1).mean()
        negatives_loss = -answers[:4].mean() - jnp.log(NUM_CLASSES)
        top1 = (answers[4:].argmax(axis=1) == batch["label"][4:]).mean()
        return loss + 0.7 * negatives_loss, (loss, negatives_loss, top1)

    gradient, (loss, negatives_loss, top1) = jax.jit(jax.grad(objective, has_aux=True))(state.variables.params)
    expected = {
        "loss": loss,
        "negatives_loss": negatives_loss,
        "top1": top1,
        "gradient_norm": optax.global_norm(gradient),
    }
    _, metrics = train_step(state, sharding.put_batch(batch, mesh))
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        assert float(metrics[name]) == pytest.approx(float(value), rel=1e-4), name


class Linear(nn.Module):
    """Images of a batch do not depend on each other."""

    for_cpu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.Dense(NUM_CLASSES)(x.reshape(len(x), -1))


def test_negatives_mixed_with_photos_count_by_their_share_however_the_batch_is_computed() -> None:
    config = tiny_config(augment=AugmentConfig(cutmix=1.0))
    # One part of the two has one negative, the other three.
    batch = make_batch(config)
    batch["label"][[0, 1, 2, 5]] = -1
    config.data.negatives = 4 / 16
    found = []
    for parts in (1, 2):
        state, train_step, _, mesh = make_training(dataclasses.replace(config, gradient_accumulation=parts), Linear())
        keys = step.photo_keys(config.seed, 0, jnp.asarray(batch["index"]))
        images, own_share = images_lib.train_images(batch, keys, config)
        answers = jax.nn.log_softmax(Linear().apply(state.variables.collections(), images, train=True))
        found.append(
            {name: float(value) for name, value in train_step(state, sharding.put_batch(batch, mesh))[1].items()}
        )
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    loss = negatives_loss = 0.0
    for row, (answer, own) in enumerate(zip(np.asarray(answers), np.asarray(own_share), strict=True)):
        for label, share in ((batch["label"][row], own), (batch["label"][row ^ 1], 1 - own)):
            if label == -1:
                negatives_loss -= share * (answer.mean() + np.log(NUM_CLASSES)) / 4
            else:
                loss -= share * answer[label] / 12
    assert found[0]["loss"] == pytest.approx(loss, rel=1e-4)
    assert found[0]["negatives_loss"] == pytest.approx(negatives_loss, rel=1e-4)
