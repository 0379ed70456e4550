"""What a config comes to: the network, the optimizer, and the two jitted steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from butterflyer_jax import losses, optim, sharding, step
from butterflyer_jax.config import Config
from butterflyer_jax.models import VGG, create_model, forward_flops


@dataclass(frozen=True)
class Program:
    """All that training computes with.

    Attributes:
      model: the network.
      tx: the optimizer.
      schedule: learning rate by step.
      train_step, eval_step: see `step.make_train_step` and `step.make_eval_step`.
      abstract_state: shapes, dtypes and shardings of the state.
      dtype: of the computation.
    """

    model: VGG
    tx: optax.GradientTransformation
    schedule: optax.Schedule
    train_step: Any
    eval_step: step.EvalStep
    abstract_state: step.TrainState
    dtype: jnp.dtype

    @property
    def num_parameters(self) -> int:
        """Numbers that are trained."""
        return sum(x.size for x in jax.tree.leaves(self.abstract_state.variables.params))

    def training_flops(self, image_size: int) -> float:
        """Returns the floating-point operations that training on one photograph needs.

        Forward, and twice as much backward: for the gradients of what comes in and of the kernel; the network's input
        needs none. What `model.remat` computes again is not counted: it is no progress.
        """
        forward = forward_flops(self.abstract_state.variables.params, image_size)
        return 3 * sum(forward.values()) - forward["block1_conv1"]


def make_program(
    config: Config,
    num_classes: int,
    steps_per_epoch: int,
    mesh: Mesh,
    class_counts: Sequence[int] | None = None,
    schedule: optax.Schedule | None = None,
) -> Program:
    """Returns what a run computes with; nothing is compiled or allocated yet.

    Args:
      config: of the run.
      num_classes: species.
      steps_per_epoch: batches an epoch.
      mesh: of the run.
      class_counts: training photographs of each species, which `optim.class_balance` weighs by.
      schedule: learning rate by step, by default the config's.

    Raises:
      UserError: the devices cannot be used as `config` says.
    """
    sharding.check(config, mesh)
    dtype = sharding.compute_dtype(config.precision, mesh)
    model = create_model(config.model, num_classes, dtype)
    schedule = schedule or optim.make_schedule(config.optim, steps_per_epoch, config.num_epochs * steps_per_epoch)
    tx = optim.make_optimizer(config.optim, schedule)
    balance = config.optim.class_balance
    weights = losses.class_weights(class_counts, balance) if class_counts and balance else None
    return Program(
        model=model,
        tx=tx,
        schedule=schedule,
        train_step=step.make_train_step(model.apply, tx, config, mesh, steps_per_epoch, weights),
        eval_step=step.make_eval_step(model.apply, config, mesh),
        abstract_state=step.abstract_state(model, tx, config, mesh),
        dtype=dtype,
    )
