"""Setup of a training from its config: network, optimizer, and the jitted train and evaluation steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from butterflyer_jax.config import Config
from butterflyer_jax.distributed import sharding
from butterflyer_jax.evaluation import eval_step as eval_step_lib
from butterflyer_jax.metrics import losses
from butterflyer_jax.models import VGG, create_model, forward_flops
from butterflyer_jax.training import optimizer, state, step

NUM_STAGES = 4


@dataclass(frozen=True)
class Setup:
    """Network, optimizer and jitted steps of a training.

    Attributes:
      model: network.
      tx: optimizer.
      schedule: learning rate by step.
      train_steps: train steps (see `training.step.make_train_step`) by image side, pixels, smallest first.
      eval_step: evaluation step (see `evaluation.eval_step.make_eval_step`).
      abstract_state: shapes, dtypes and shardings of the state.
      dtype: dtype of the computation.
    """

    model: VGG
    tx: optax.GradientTransformationExtraArgs
    schedule: optax.Schedule
    train_steps: dict[int, Any]
    eval_step: eval_step_lib.EvalStep
    abstract_state: state.TrainState
    dtype: jnp.dtype

    @property
    def train_step(self) -> Any:
        """The train step at the network's full image size."""
        return self.train_steps[max(self.train_steps)]

    @property
    def num_parameters(self) -> int:
        """Number of scalar parameters of the network."""
        return sum(x.size for x in jax.tree.leaves(self.abstract_state.variables.params))

    def training_flops(self, image_size: int) -> float:
        """Returns the floating-point operations that training on one image needs."""
        return training_flops(self.abstract_state.variables.params, image_size)


def training_flops(params: Any, image_size: int) -> float:
    """Returns the floating-point operations that training a network on one image needs.

    The forward pass, and twice as much for the backward pass: the gradients by each layer's input and by its kernel;
    the network's input needs none. Recomputation by `model.remat` is not counted.
    """
    forward = forward_flops(params, image_size)
    return 3 * sum(forward.values()) - forward["block1_conv1"]


def make_setup(
    config: Config,
    num_classes: int,
    steps_per_epoch: int,
    mesh: Mesh,
    class_counts: Sequence[int] | None = None,
    schedule: optax.Schedule | None = None,
) -> Setup:
    """Returns the setup of a run; nothing is compiled or allocated yet.

    Args:
      config: config of the run.
      num_classes: number of species.
      steps_per_epoch: number of batches per epoch.
      mesh: devices of the run.
      class_counts: number of training images of each class, for the weights of `optim.class_balance`.
      schedule: learning rate by step; by default the config's.

    Raises:
      UserError: the devices cannot be used as `config` asks.
    """
    sharding.check(config, mesh)
    dtype = sharding.compute_dtype(config.precision, mesh)
    model = create_model(config.model, num_classes, dtype, for_cpu=sharding.on_one_cpu(mesh))
    schedule = schedule or optimizer.make_schedule(config.optim, steps_per_epoch, config.num_epochs * steps_per_epoch)
    tx = optimizer.make_optimizer(config.optim)
    abstract_state = state.abstract_state(model, tx, config, mesh)
    optimizer.check_freeze(abstract_state.variables.params, config.optim)
    balance = config.optim.class_balance
    weights = losses.class_weights(class_counts, balance) if class_counts and balance else None
    return Setup(
        model=model,
        tx=tx,
        schedule=schedule,
        train_steps={
            size: step.make_train_step(
                model.apply, tx, schedule, _at_size(config, size), mesh, steps_per_epoch, weights
            )
            for size in image_sizes(config)
        },
        eval_step=eval_step_lib.make_eval_step(model, config, mesh),
        abstract_state=abstract_state,
        dtype=dtype,
    )


def image_sizes(config: Config) -> list[int]:
    """Returns the image sides that a run trains on, pixels, in order: one, or four stages that grow evenly.

    Smaller images first cost less and regularise (progressive resizing; Tan & Le 2021, arXiv:2104.00298). Sides are
    multiples of 32, as the network halves them five times, but for the last.
    """
    start, end = config.data.start_image_size, config.data.image_size
    if not start:
        return [end]
    sizes = [start + (end - start) * stage // (NUM_STAGES - 1) for stage in range(NUM_STAGES)]
    return [*dict.fromkeys([*(size // 32 * 32 for size in sizes[:-1]), end])]


def image_size_at(config: Config, step_number: int, total_steps: int) -> int:
    """Returns the image side, pixels, of the step after `step_number` steps; all stages have the same length."""
    sizes = image_sizes(config)
    return sizes[min(len(sizes) * step_number // total_steps, len(sizes) - 1)]


def _at_size(config: Config, image_size: int) -> Config:
    return config.replace(data=dataclasses.replace(config.data, image_size=image_size))
