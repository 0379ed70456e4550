"""The train step and the evaluation step: what they compute, on any number of devices."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, OptimConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.evaluation import eval_step as eval_step_lib
from butterflyer_jax.models import create_model, variables
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.training import optimizer, step
from butterflyer_jax.training import state as state_lib
from tests.conftest import on_devices
from tests.helpers.trainings import make_batch

NUM_CLASSES = 5
NUM_STEPS = 5

# Losses by number of devices, of a network with everything that could depend on how a batch is split:
# batch normalisation, dropout, crops on the device, every augmentation. And what devices exchange to augment.
LOSSES_BY_DEVICES = """
import json
from tests.training.test_step import augmentation_program, losses_by_devices
print(json.dumps({"losses": losses_by_devices((1, 2, 8)), "program": augmentation_program(8)}))
"""

EVERYTHING = AugmentConfig(strength="strong", erase_probability=0.5, mixup=0.4, cutmix=1.0)
NOTHING = AugmentConfig(flip=False, brightness=0, contrast=0, saturation=0)


def tiny_config(**changes: object) -> Config:
    return dataclasses.replace(
        Config(
            batch_size=16,
            data=DataConfig(image_size=32),
            model=ModelConfig(variant="vgg11", batch_norm=True, width_multiplier=0.125, dropout=0.3),
            optim=OptimConfig(learning_rate=0.01, weight_decay=1e-3),
        ),
        **changes,
    )


def make_windowed_batch(config: Config, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch whose crops are left to the device."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(20, 45, (config.batch_size, 2))
    window = np.concatenate([rng.integers(0, 45 - sides), sides], axis=1).astype(np.int32)
    image = rng.integers(0, 256, (config.batch_size, 44, 44, 3), np.uint8)
    return make_batch(config, seed) | {"image": image, "window": window}


class SmallNet(nn.Module):
    """Compiles in a second, and has what a VGG has: convolution, batch normalisation, dropout, dense layer."""

    dropout: float = 0.3
    for_cpu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Conv(8, (3, 3), strides=4)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x)).reshape(len(x), -1)
        return nn.Dense(NUM_CLASSES)(nn.Dropout(self.dropout, deterministic=not train)(x))


def make_training(
    config: Config, model: nn.Module | None = None, num_devices: int = 1
) -> tuple[state_lib.TrainState, step.TrainStep, eval_step_lib.EvalStep, Mesh]:
    mesh = sharding.make_mesh(num_devices)
    model = model or SmallNet()
    tx, schedule = optimizer.make_optimizer(config.optim), optimizer.make_schedule(config.optim, 10, 100)
    state = state_lib.create_state(model, tx, config, state_lib.abstract_state(model, tx, config, mesh))
    train_step = step.make_train_step(model.apply, tx, schedule, config, mesh, steps_per_epoch=4)
    return state, train_step, eval_step_lib.make_eval_step(model, config, mesh), mesh


def losses_by_devices(counts: tuple[int, ...]) -> dict[int, list[float]]:
    config = tiny_config(augment=EVERYTHING)
    model = create_model(config.model, NUM_CLASSES)
    # Compiled once: it takes longer than the steps.
    initial = jax.tree.map(np.asarray, make_training(config, model)[0])
    tx, schedule = optimizer.make_optimizer(config.optim), optimizer.make_schedule(config.optim, 10, 100)
    losses: dict[int, list[float]] = {count: [] for count in counts}
    for count in counts:
        mesh = sharding.make_mesh(count)
        state = jax.device_put(initial, sharding.replicated(mesh))
        train_step = step.make_train_step(model.apply, tx, schedule, config, mesh, steps_per_epoch=4)
        for number in range(NUM_STEPS):
            state, metrics = train_step(state, sharding.put_batch(make_windowed_batch(config, number), mesh))
            losses[count].append(float(metrics["loss"]))
    return losses


def augmentation_program(num_devices: int) -> str:
    """What XLA makes of the augmentation of a batch that is split over devices."""
    config = tiny_config(augment=EVERYTHING)
    split = sharding.by_batch(sharding.make_mesh(num_devices))

    def function(batch: variables.Batch) -> Any:
        keys = jax.vmap(lambda index: jax.random.fold_in(jax.random.key(0), index))(batch["index"])
        return images_lib.train_images(batch, keys, config)

    compiled = jax.jit(function, in_shardings=split, out_shardings=split).lower(make_windowed_batch(config)).compile()
    return compiled.as_text()


def test_one_two_and_eight_devices_give_the_same_losses() -> None:
    flags = on_devices(8) | {"JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", LOSSES_BY_DEVICES], env=os.environ | flags, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    output = json.loads(result.stdout)
    losses = output["losses"]
    assert len(set(losses["1"])) == NUM_STEPS
    np.testing.assert_allclose(losses["2"], losses["1"], rtol=1e-4)
    np.testing.assert_allclose(losses["8"], losses["1"], rtol=1e-4)
    assert "gather(" in output["program"], "the text is that of the program"
    for exchange in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert exchange not in output["program"], exchange


def test_class_weights_scale_the_loss_of_each_photo() -> None:
    config = tiny_config(augment=NOTHING)
    model = SmallNet(dropout=0.0)
    weights = np.linspace(0, 2, NUM_CLASSES, dtype=np.float32)
    state, _, _, mesh = make_training(config, model)
    batch = sharding.put_batch(make_batch(config, 0), mesh)

    @jax.jit
    def look(collections: object, images: jax.Array) -> jax.Array:
        normal = images_lib.normalise(images, config.model)
        return model.apply(collections, normal, train=True, mutable=["batch_stats"])[0]

    logits = look(state.variables.collections(), batch["image"])
    labels = np.asarray(batch["label"])
    expected = -(weights[labels] * np.asarray(jax.nn.log_softmax(logits))[np.arange(len(labels)), labels]).mean()
    tx, schedule = optimizer.make_optimizer(config.optim), optimizer.make_schedule(config.optim, 10, 100)
    train_step = step.make_train_step(model.apply, tx, schedule, config, mesh, steps_per_epoch=4, class_weights=weights)
    np.testing.assert_allclose(train_step(state, batch)[1]["loss"], expected, rtol=1e-5)


def test_one_step_is_the_textbook_update() -> None:
    """Plain SGD without augmentation, dropout or decay: the parameters move by the gradient of the mean loss."""
    config = tiny_config(
        model=ModelConfig(variant="vgg11", width_multiplier=0.125, dropout=0.0, head="gap"),
        augment=NOTHING,
        optim=OptimConfig(learning_rate=0.1, schedule="constant", warmup_epochs=0, momentum=0.0, weight_decay=0.0),
    )
    model = create_model(config.model, NUM_CLASSES)
    state, train_step, _, mesh = make_training(config, model)
    before = jax.tree.map(np.array, state.variables.params)
    batch = make_batch(config)
    state, metrics = train_step(state, sharding.put_batch(batch, mesh))

    images = (batch["image"] / 255 - np.array(config.model.mean)) / np.array(config.model.std)

    def loss_fn(params: object) -> jax.Array:
        logits = model.apply({"params": params}, jnp.float32(images), train=True)
        return -jax.nn.log_softmax(logits)[jnp.arange(len(logits)), batch["label"]].mean()

    loss, gradients = jax.jit(jax.value_and_grad(loss_fn))(before)
    assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert int(state.step) == 1
    # By layer and norm: a rounding that flips one ReLU or one pool's argmax moves single elements by per cents.
    arrays = jax.device_get((state.variables.params, before, gradients))
    for new, old, gradient in zip(*map(jax.tree.leaves, arrays), strict=True):
        assert np.linalg.norm(new - (old - 0.1 * gradient)) < 0.03 * np.linalg.norm(0.1 * gradient)


def test_the_same_batch_is_learned() -> None:
    config = tiny_config(optim=OptimConfig(name="adamw", learning_rate=3e-3, warmup_epochs=0))
    state, train_step, _, mesh = make_training(config)
    batch = sharding.put_batch(make_batch(config), mesh)
    losses = []
    for _ in range(30):
        state, metrics = train_step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.3 * losses[0]


def test_the_old_state_is_given_up() -> None:
    config = tiny_config()
    state, train_step, _, mesh = make_training(config)
    train_step(state, sharding.put_batch(make_batch(config), mesh))
    assert state.variables.params["Dense_0"]["kernel"].is_deleted()


def test_draws_follow_epoch_and_index() -> None:
    """The same (epoch, index) draws the same; another epoch or index does not. Four steps make an epoch."""
    config = tiny_config()
    state, train_step, _, mesh = make_training(config, SmallNet(dropout=0.0))
    batch = make_batch(config)

    def loss(step_number: int, index: np.ndarray) -> float:
        at_step = jax.tree.map(jnp.copy, state).replace(step=jnp.int32(step_number))
        return float(train_step(at_step, sharding.put_batch(batch | {"index": index}, mesh))[1]["loss"])

    index = batch["index"]
    assert loss(0, index) == loss(3, index)
    assert loss(0, index) != loss(4, index)
    assert loss(0, index) != loss(0, index + 100)


def test_evaluation_counts_what_the_mask_admits() -> None:
    config = tiny_config()
    state, _, eval_step, mesh = make_training(config)
    batch = make_batch(config)
    batch.pop("index")
    some = batch | {"mask": (np.arange(16) < 5).astype(np.float32)}
    # Whatever stands behind the mask, the sums do not move.
    other = some | {"image": np.where((np.arange(16) < 5)[:, None, None, None], some["image"], 255 - some["image"])}
    first = eval_step(state.variables, sharding.put_batch(some, mesh)).compute()
    second = eval_step(state.variables, sharding.put_batch(other, mesh)).compute()
    assert first == second
    assert first["count"] == 5
    # A window of what pads the batch may be empty.
    window = np.where((np.arange(16) < 5)[:, None], [0, 0, 32, 32], 0).astype(np.int32)
    third = eval_step(state.variables, sharding.put_batch(some | {"window": window}, mesh)).compute()
    assert third == pytest.approx(first, rel=1e-5)


def test_sums_are_those_of_numpy() -> None:
    config = tiny_config()
    state, _, eval_step, mesh = make_training(config)
    batch = make_batch(config) | {"mask": np.ones(16, np.float32)}
    batch.pop("index")
    images = (batch["image"] / 255 - np.array(config.model.mean)) / np.array(config.model.std)
    apply = jax.jit(lambda collections: SmallNet().apply(collections, jnp.float32(images), train=False))
    logits = np.asarray(apply(state.variables.collections()))
    losses = -np.asarray(jax.nn.log_softmax(logits))[np.arange(16), batch["label"]]
    metrics = eval_step(state.variables, sharding.put_batch(batch, mesh)).compute()
    assert metrics["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert metrics["top1"] == (logits.argmax(axis=1) == batch["label"]).mean()
    assert metrics["top5"] == 1.0
    recalls = [(logits.argmax(1)[batch["label"] == c] == c).mean() for c in set(batch["label"].tolist())]
    assert metrics["balanced_accuracy"] == pytest.approx(np.mean(recalls))


@pytest.mark.parametrize("name", ["sgd", "adamw", "lion", "lamb"])
def test_every_optimizer_moves_every_parameter(name: str) -> None:
    config = tiny_config(optim=OptimConfig(name=name, learning_rate=1e-2, warmup_epochs=0, gradient_clip_norm=1.0))
    state, train_step, _, mesh = make_training(config)
    before = jax.tree.map(np.array, state.variables.params)
    state, _ = train_step(state, sharding.put_batch(make_batch(config), mesh))
    moved = jax.tree.map(lambda new, old: not np.array_equal(new, old), state.variables.params, before)
    assert all(jax.tree.leaves(moved)), moved


def test_the_state_is_restorable_from_shapes_alone() -> None:
    config = tiny_config()
    mesh = sharding.make_mesh(1)
    model = SmallNet()
    tx = optax.adamw(0.1)
    abstract = state_lib.abstract_state(model, tx, config, mesh)
    state = state_lib.create_state(model, tx, config, abstract)
    assert jax.tree.structure(abstract) == jax.tree.structure(state)
    for shape, array in zip(jax.tree.leaves(abstract), jax.tree.leaves(state), strict=True):
        assert (shape.shape, shape.dtype, shape.sharding) == (array.shape, array.dtype, array.sharding)
