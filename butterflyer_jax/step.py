"""The state of a run, and the two jitted functions that everything else serves: train step and evaluation step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from butterflyer_jax import augment, losses, mixing, sharding
from butterflyer_jax.config import Config
from butterflyer_jax.metrics import Sums

Batch: TypeAlias = dict[str, jax.Array]
TrainStep: TypeAlias = Callable[["TrainState", Batch], tuple["TrainState", dict[str, jax.Array]]]
EvalStep: TypeAlias = Callable[["Variables", Batch], Sums]

# Streams of random numbers that share the seed.
INIT_STREAM, DROPOUT_STREAM, AUGMENT_STREAM = range(3)


class Variables(flax.struct.PyTreeNode):
    """What the network needs to answer.

    Attributes:
      params: float32 parameters.
      batch_stats: running mean and variance of each batch normalisation; empty without.
    """

    params: Any
    batch_stats: Any

    def collections(self) -> dict[str, Any]:
        """Returns the variables as Flax's `apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


class TrainState(flax.struct.PyTreeNode):
    """All that changes in training.

    Attributes:
      step: int32 [], steps done.
      variables: of the network.
      opt_state: of the optimizer.
    """

    step: jax.Array
    variables: Variables
    opt_state: Any


def abstract_state(model: nn.Module, tx: optax.GradientTransformation, config: Config, mesh: Mesh) -> TrainState:
    """Returns the state's shapes, dtypes and shardings; nothing is computed."""
    return _spread(jax.eval_shape(lambda: _initial_state(model, tx, config)), mesh)


def abstract_variables(model: nn.Module, config: Config, mesh: Mesh) -> Variables:
    """Returns the shapes, dtypes and shardings of the network's variables; nothing is computed."""
    return _spread(jax.eval_shape(lambda: _initial_variables(model, config)), mesh)


def _spread(tree: Any, mesh: Mesh) -> Any:
    spread = sharding.replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread), tree)


def create_state(model: nn.Module, tx: optax.GradientTransformation, config: Config, mesh: Mesh) -> TrainState:
    """Returns the initial state, born where it lives: it is never whole on one device first."""
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(model, tx, config, mesh))
    return jax.jit(lambda: _initial_state(model, tx, config), out_shardings=shardings)()


def _initial_state(model: nn.Module, tx: optax.GradientTransformation, config: Config) -> TrainState:
    variables = _initial_variables(model, config)
    return TrainState(jnp.zeros((), jnp.int32), variables, tx.init(variables.params))


def _initial_variables(model: nn.Module, config: Config) -> Variables:
    image = jnp.zeros((1, config.data.image_size, config.data.image_size, 3))
    collections = model.init(_key(config.seed, INIT_STREAM), image, train=False)
    return Variables(collections["params"], collections.get("batch_stats", {}))


def _key(seed: int, stream: int) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), stream)


def photo_keys(seed: int, epoch: jax.Array | int, index: jax.Array) -> jax.Array:
    """Returns the PRNG keys [batch] that the augmentation of photographs draws from; index is int32 [batch]."""
    epoch_key = jax.random.fold_in(_key(seed, AUGMENT_STREAM), epoch)
    return jax.vmap(lambda place: jax.random.fold_in(epoch_key, place))(index)


def make_train_step(
    apply_fn: Callable[..., Any],
    tx: optax.GradientTransformation,
    config: Config,
    mesh: Mesh,
    steps_per_epoch: int,
    class_weights: np.ndarray | None = None,
) -> TrainStep:
    """Returns the jitted function `(state, batch) -> (state, metrics)`; it takes over the memory of the old state.

    The batch holds image uint8 [batch_size, height, width, 3], label int32 [batch_size] and index int32 [batch_size];
    and window int32 [batch_size, 4] where the crop is left to the device (see `augment.scaled_images`).
    The loss is the mean over the global batch, each photograph weighed by `class_weights`, float32 [num_classes], where
    these are given. Augmentation draws from (seed, epoch, index), dropout from (seed, step).
    Metrics are float32 []: loss, top1 (against a mixed photograph's own label), gradient_norm.
    """
    weights = None if class_weights is None else jnp.asarray(class_weights)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        keys = photo_keys(config.seed, state.step // steps_per_epoch, batch["index"])
        images, own_share = augment.train_images(batch, keys, config)
        dropout_key = jax.random.fold_in(_key(config.seed, DROPOUT_STREAM), state.step)

        def loss_fn(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            logits, updates = apply_fn(
                state.variables.replace(params=params).collections(),
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": dropout_key},
            )
            loss = losses.weighted_cross_entropy(logits, batch["label"], config.optim.label_smoothing, weights)
            if own_share is not None:
                neighbours = mixing.swap_neighbours(batch["label"])
                other = losses.weighted_cross_entropy(logits, neighbours, config.optim.label_smoothing, weights)
                loss = own_share * loss + (1 - own_share) * other
            return loss.mean(), (logits, updates.get("batch_stats", {}))

        (loss, (logits, batch_stats)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.variables.params)
        updates, opt_state = tx.update(gradients, state.opt_state, state.variables.params)
        params = optax.apply_updates(state.variables.params, updates)
        metrics = {
            "loss": loss,
            "top1": (logits.argmax(axis=-1) == batch["label"]).mean(),
            # Tells a broken new state, where the loss is still that of the old one.
            "gradient_norm": optax.global_norm(gradients),
        }
        return TrainState(state.step + 1, Variables(params, batch_stats), opt_state), metrics

    spread = sharding.replicated(mesh)
    return jax.jit(
        train_step,
        in_shardings=(spread, sharding.by_batch(mesh)),
        out_shardings=(spread, spread),
        donate_argnums=0,
    )


def make_eval_step(apply_fn: Callable[..., Any], config: Config, mesh: Mesh) -> EvalStep:
    """Returns the jitted function `(variables, batch) -> sums` over the photographs whose mask is 1.

    The batch holds image uint8 [batch_size, height, width, 3], label int32 [batch_size], mask float32 [batch_size] and,
    where the crop is left to the device, window int32 [batch_size, 4] (see `augment.scaled_images`).
    """

    def eval_step(variables: Variables, batch: Batch) -> Sums:
        logits = apply_fn(variables.collections(), augment.eval_images(batch, config), train=False)
        return Sums.of_batch(losses.cross_entropy(logits, batch["label"]), logits, batch["label"], batch["mask"])

    spread = sharding.replicated(mesh)
    return jax.jit(eval_step, in_shardings=(spread, sharding.by_batch(mesh)), out_shardings=spread)
