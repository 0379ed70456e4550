"""The state of a run: what it is made of, how it is born, saved and restored."""

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
from butterflyer_jax.distributed import sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.models.variables import Variables, initial_variables
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.training.early_stopping import EarlyStopping
from butterflyer_jax.training.loss_scale import LossScale


def with_rate_scale(state: TrainState, scale: float, mesh: Mesh) -> TrainState:
    """Returns the state with another factor on its learning rate, where it has one."""
    if state.rate_scale is None:
        return state
    return state.replace(rate_scale=jax.device_put(np.float32(scale), sharding.replicated(mesh)))


def checkpoint_trees(state: TrainState) -> dict[str, Any]:
    """Returns the state in the parts that a checkpoint holds: evaluation restores `variables` alone."""
    rest = {"loss_scale": state.loss_scale, "rate_scale": state.rate_scale}
    optimizer = {"step": state.step, "opt_state": state.opt_state}
    optimizer |= {name: value for name, value in rest.items() if value is not None}
    trees = {"variables": state.variables, "optimizer": optimizer}
    return trees if state.averaged is None else trees | {"averaged": state.averaged}


def restore_state(
    checkpointer: Checkpointer, step: int, abstract_state: TrainState, data: Data
) -> tuple[TrainState, EarlyStopping]:
    """Returns the state saved at `step`, and what the run had come to.

    Raises:
      UserError: it does not fit the network, or the data cannot be taken up where the run left it.
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
        # Clipping once had an empty state of its own, before that of the optimizer.
        clipped = abstract_state.replace(opt_state=(optax.EmptyState(), *abstract_state.opt_state))
        try:
            trees = checkpointer.restore(step, checkpoint_trees(clipped))
        except UserError:
            raise error from None
        trees["optimizer"]["opt_state"] = trees["optimizer"]["opt_state"][1:]
        return trees


class TrainState(flax.struct.PyTreeNode):
    """All that changes in training.

    Attributes:
      step: int32 [], steps done.
      variables: of the network.
      opt_state: of the optimizer.
      loss_scale: of float16, else None.
      rate_scale: float32 [], what schedule plateau multiplies the learning rate by, else None.
      averaged: what is evaluated where the config averages weights, else None.
    """

    step: jax.Array
    variables: Variables
    opt_state: Any
    loss_scale: LossScale | None = None
    rate_scale: jax.Array | None = None
    averaged: Variables | None = None

    @property
    def evaluated(self) -> Variables:
        """The variables that the run is judged by, and leaves behind."""
        return self.variables if self.averaged is None else self.averaged


def abstract_state(model: nn.Module, tx: optax.GradientTransformation, config: Config, mesh: Mesh) -> TrainState:
    """Returns the state's shapes, dtypes and shardings; nothing is computed."""
    result: TrainState = sharding.abstract(
        jax.eval_shape(lambda: _initial_state(model, tx, config)), mesh, config.parallel
    )
    return result


def abstract_batch(photo: Mapping[str, tuple[tuple[int, ...], Any]], batch_size: int, mesh: Mesh) -> dict[str, Any]:
    """Returns the shapes, dtypes and shardings of a batch.

    Args:
      photo: (shape, dtype) of one photograph's part, by name.
      batch_size: photographs, over all devices.
      mesh: of the run.
    """
    return {
        name: jax.ShapeDtypeStruct((batch_size, *shape), dtype, sharding=sharding.by_batch(mesh))
        for name, (shape, dtype) in photo.items()
    }


def create_state(model: nn.Module, tx: optax.GradientTransformation, config: Config, mesh: Mesh) -> TrainState:
    """Returns the initial state, born where it lives: it is never whole on one device first."""
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(model, tx, config, mesh))
    result: TrainState = jax.jit(lambda: _initial_state(model, tx, config), out_shardings=shardings)()
    return result


def _initial_state(model: nn.Module, tx: optax.GradientTransformation, config: Config) -> TrainState:
    variables = initial_variables(model, config)
    scale = LossScale.create() if config.precision == "float16" else None
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        variables=variables,
        opt_state=tx.init(variables.params),
        loss_scale=scale,
        rate_scale=jnp.ones(()) if config.optim.schedule == "plateau" else None,
        # A copy: the two are given up for the next state one by one.
        averaged=jax.tree.map(jnp.copy, variables) if config.optim.average != "none" else None,
    )
