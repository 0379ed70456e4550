"""The train state: its fields, its sharded initialisation, and how it is saved and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from butterflyer_jax.config import Config
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import compiler, sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.variables import Variables, initial_variables
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.training.early_stopping import EarlyStopping
from butterflyer_jax.training.loss_scale import LossScale


def with_rate_scale(state: TrainState, scale: float, mesh: Mesh) -> TrainState:
    """Returns the state with its learning-rate factor replaced, if it has one."""
    if state.rate_scale is None:
        return state
    return state.replace(rate_scale=jax.device_put(np.float32(scale), sharding.replicated(mesh)))


def checkpoint_trees(state: TrainState) -> dict[str, Any]:
    """Returns the state as the trees of a checkpoint; evaluation restores `variables` only."""
    rest = {"loss_scale": state.loss_scale, "rate_scale": state.rate_scale}
    optimizer = {"step": state.step, "opt_state": state.opt_state}
    optimizer |= {name: value for name, value in rest.items() if value is not None}
    trees = {"variables": state.variables, "optimizer": optimizer}
    return trees if state.averaged is None else trees | {"averaged": state.averaged}


def restore_state(
    checkpointer: Checkpointer, step: int, abstract_state: TrainState, data: Data
) -> tuple[TrainState, EarlyStopping]:
    """Returns the state saved at `step`, and the early-stopping state saved with it.

    Args:
      checkpointer: checkpoints of the run.
      step: saved step.
      abstract_state: shapes, dtypes and shardings to restore into.
      data: open data set, checked against the saved position.

    Raises:
      UserError: the checkpoint does not fit the network, or the data cannot resume from its position.
    """
    position = checkpointer.restore_position(step)
    data.position(step).check(position)
    trees = _restore_trees(checkpointer, step, abstract_state)
    state = TrainState(variables=trees["variables"], averaged=trees.get("averaged"), **trees["optimizer"])
    return state, EarlyStopping(**position.get("progress", {}))


def _restore_trees(checkpointer: Checkpointer, step: int, abstract_state: TrainState) -> dict[str, Any]:
    try:
        return checkpointer.restore(step, checkpoint_trees(abstract_state))
    except UserError as error:
        # Older checkpoints hold an empty state of gradient clipping before that of the optimizer.
        clipped = abstract_state.replace(opt_state=(optax.EmptyState(), *abstract_state.opt_state))
        try:
            trees = checkpointer.restore(step, checkpoint_trees(clipped))
        except UserError:
            raise error from None
        trees["optimizer"]["opt_state"] = trees["optimizer"]["opt_state"][1:]
        return trees


class TrainState(flax.struct.PyTreeNode):
    """Everything that changes in training.

    Attributes:
      step: int32 [], steps done.
      variables: parameters and batch statistics of the network.
      opt_state: state of the optimizer.
      loss_scale: loss scale of float16 training, else None.
      rate_scale: float32 [], learning-rate factor of schedule plateau, else None.
      averaged: averaged weights, which are evaluated, if the config averages weights; else None.
    """

    step: jax.Array
    variables: Variables
    opt_state: Any
    loss_scale: LossScale | None = None
    rate_scale: jax.Array | None = None
    averaged: Variables | None = None

    @property
    def evaluated(self) -> Variables:
        """The variables that are evaluated and exported."""
        return self.variables if self.averaged is None else self.averaged


def abstract_state(model: nn.Module, tx: optax.GradientTransformation, config: Config, mesh: Mesh) -> TrainState:
    """Returns the shapes, dtypes and shardings of the state; nothing is computed."""
    return sharding.abstract(jax.eval_shape(lambda: _initial_state(model, tx, config)), mesh, config.parallel)


def abstract_batch(photo: Mapping[str, tuple[tuple[int, ...], Any]], batch_size: int, mesh: Mesh) -> dict[str, Any]:
    """Returns the shapes, dtypes and shardings of a batch.

    Args:
      photo: (shape, dtype) of each array of one image, by name.
      batch_size: number of images over all devices.
      mesh: devices of the run.
    """
    return {
        name: jax.ShapeDtypeStruct((batch_size, *shape), dtype, sharding=sharding.by_batch(mesh))
        for name, (shape, dtype) in photo.items()
    }


def create_state(
    model: nn.Module, tx: optax.GradientTransformation, config: Config, abstract_state: TrainState
) -> TrainState:
    """Returns the initial state, created sharded as `abstract_state` is: it is never whole on one device."""
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state)
    create = jax.jit(
        lambda: _initial_state(model, tx, config),
        out_shardings=shardings,
        compiler_options=compiler.options_to_run_once(),
    )
    return create()


def _initial_state(model: nn.Module, tx: optax.GradientTransformation, config: Config) -> TrainState:
    variables = initial_variables(model, config)
    scale = LossScale.create() if config.precision == "float16" else None
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        opt_state=tx.init(variables.params),
        loss_scale=scale,
        rate_scale=jnp.ones(()) if config.optim.schedule == "plateau" else None,
        # A copy: both buffers are donated to the next state separately.
        averaged=jax.tree.map(jnp.copy, variables) if config.optim.average != "none" else None,
    )
