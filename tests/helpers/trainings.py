"""Small trainings that several tests make, each step on another batch of noise."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from butterflyer_jax.config import AugmentConfig, Config, DataConfig, ModelConfig, OptimConfig, ParallelConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.training import state as state_lib
from butterflyer_jax.training.setup import Setup, make_setup

NUM_CLASSES = 5
# For `vgg.VARIANTS`, where many programs are compiled: one convolution in each block.
SHALLOW = ("vgg11", (1, 1, 1, 1, 1))
NO_AUGMENTATION = AugmentConfig(flip=False, brightness=0, contrast=0, saturation=0)


def small_config(**changes: Any) -> Config:
    """A VGG with everything that could depend on how a batch is split: batch normalisation, dropout, mixing."""
    config = Config(
        batch_size=32,
        num_epochs=5,
        data=DataConfig(image_size=32),
        augment=AugmentConfig(mixup=0.4, cutmix=1.0),
        model=ModelConfig(variant="vgg11", batch_norm=True, width_multiplier=0.125, dropout=0.3),
        optim=OptimConfig(learning_rate=0.01, weight_decay=1e-3),
        parallel=ParallelConfig(),
    )
    return dataclasses.replace(config, **changes)


def make_batch(config: Config, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = config.data.image_size
    return {
        "image": rng.integers(0, 256, (config.batch_size, size, size, 3), np.uint8),
        "label": rng.integers(0, NUM_CLASSES, config.batch_size, np.int32),
        "index": np.arange(config.batch_size, dtype=np.int32),
    }


def setup_on(config: Config, num_devices: int = 1) -> tuple[Setup, jax.sharding.Mesh]:
    mesh = sharding.make_mesh(num_devices, config.parallel.model_devices)
    return make_setup(config, NUM_CLASSES, steps_per_epoch=4, mesh=mesh), mesh


def initial_arrays(config: Config) -> Any:
    """A new state, as numpy arrays."""
    setup, _ = setup_on(config)
    return jax.tree.map(np.asarray, state_lib.create_state(setup.model, setup.tx, config, setup.abstract_state))


def losses(config: Config, num_steps: int, num_devices: int = 1, initial: Any = None) -> list[float]:
    """The losses of a training from `initial`, by default a new state."""
    setup, mesh = setup_on(config, num_devices)
    initial = initial_arrays(config) if initial is None else initial
    state = jax.device_put(initial, jax.tree.map(lambda x: x.sharding, setup.abstract_state))
    values = []
    for number in range(num_steps):
        state, metrics = setup.train_step(state, sharding.put_batch(make_batch(config, number), mesh))
        values.append(float(metrics["loss"]))
    return values
