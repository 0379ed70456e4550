"""The jitted train step: augment, forward, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Float, Integer, Key

from butterflyer_jax.config import Config
from butterflyer_jax.data.protocol import NEGATIVE_LABEL
from butterflyer_jax.distributed import compiler, sharding
from butterflyer_jax.metrics import losses
from butterflyer_jax.models.variables import AUGMENT_STREAM, DROPOUT_STREAM, Batch, Variables, stream_key
from butterflyer_jax.preprocessing import images as images_lib
from butterflyer_jax.preprocessing import mix
from butterflyer_jax.training import loss_scale, optimizer
from butterflyer_jax.training.loss_scale import LossScale
from butterflyer_jax.training.state import TrainState

StepResult: TypeAlias = tuple[TrainState, dict[str, jax.Array]]
LossFn: TypeAlias = Callable[[Any, Any, Batch, jax.Array, jax.Array], tuple[jax.Array, Any]]


class TrainStep:
    """Train step `(state, batch) -> (state, metrics)` whose learning rate is an argument of the compiled program.

    So runs that differ only in learning rate or schedule, such as the trials of a sweep, share one compiled program.
    """

    def __init__(self, program: Any, schedule: optax.Schedule, mesh: Mesh) -> None:
        """Takes the jitted or compiled `(state, batch, learning_rate)`, and the learning rate by update."""
        self._program, self._schedule, self._mesh = program, schedule, mesh
        self._learning_rate = jax.jit(
            lambda count: jnp.asarray(schedule(count), jnp.float32), out_shardings=sharding.replicated(mesh)
        )

    def __call__(self, state: TrainState, batch: Batch) -> StepResult:
        """Does one step; see `make_train_step`."""
        learning_rate = self._learning_rate(optimizer.update_count(state.opt_state))
        return self._program(state, batch, learning_rate)

    def lower(self, state: Any, batch: Any) -> Any:
        """Returns the program lowered for a state and a batch of these shapes and shardings."""
        learning_rate = jax.ShapeDtypeStruct((), jnp.float32, sharding=sharding.replicated(self._mesh))
        return self._program.lower(state, batch, learning_rate)

    def with_program(self, program: Any) -> TrainStep:
        """Returns the step that calls another program, such as what `lower` returns once it is compiled."""
        return TrainStep(program, self._schedule, self._mesh)


def photo_keys(
    seed: int, epoch: Integer[jax.Array, ""] | int, index: Integer[jax.Array, " batch"]
) -> Key[jax.Array, " batch"]:
    """Returns the augmentation PRNG keys [batch] of images with these indices, int32 [batch]."""
    epoch_key = jax.random.fold_in(stream_key(seed, AUGMENT_STREAM), epoch)
    return jax.vmap(lambda place: jax.random.fold_in(epoch_key, place))(index)


def make_augment(config: Config) -> Callable[[Mapping[str, Any], jax.Array | int], jax.Array]:
    """Returns the train step's augmentation, jitted: `(batch, epoch) -> float32 [batch, image_size, image_size, 3]`.

    The images it returns are normalised; `preprocessing.images.denormalise` converts them back to pixels.
    """

    @jax.jit
    def augment(batch: Mapping[str, Any], epoch: jax.Array | int) -> jax.Array:
        return images_lib.train_images(batch, photo_keys(config.seed, epoch, batch["index"]), config)[0]

    return augment


def make_train_step(
    apply_fn: Callable[..., Any],
    tx: optax.GradientTransformationExtraArgs,
    schedule: optax.Schedule,
    config: Config,
    mesh: Mesh,
    steps_per_epoch: int,
    class_weights: Float[np.ndarray, " num_classes"] | None = None,
) -> TrainStep:
    """Returns the jitted step `(state, batch) -> (state, metrics)`; it donates the memory of the old state.

    The batch holds image uint8 [batch_size, height, width, 3], label int32 [batch_size] and index int32 [batch_size];
    and window int32 [batch_size, 4] where the device crops (see `preprocessing.images.scaled_images`).
    The loss is the mean over the global batch; with negatives (label -1) the mean over the photos, plus the mean of
    `metrics.losses.uniform_divergence` over the negatives times `optim.negatives_weight`. Augmentation draws from
    (seed, epoch, index), dropout from (seed, step). With gradient accumulation the batch is computed in parts, and
    batch normalisation is over a part.
    Metrics are float32 []: loss and top1 of the photos (top1 against a mixed image's own label), gradient_norm, with
    negatives their negatives_loss, and with float16 the loss_scale of this step.

    Args:
      apply_fn: `apply` of the Flax model.
      tx: optimizer; see `optimizer.make_optimizer`.
      schedule: learning rate by update.
      config: config of the run.
      mesh: devices that the step runs on.
      steps_per_epoch: number of batches per epoch.
      class_weights: float32 [num_classes], weight of each image's loss by its label; None weighs all alike.
    """
    loss_fn = make_loss_fn(apply_fn, config, class_weights)

    def train_step(state: TrainState, batch: Batch, learning_rate: jax.Array) -> StepResult:
        epoch = state.step // steps_per_epoch
        dropout_key = jax.random.fold_in(stream_key(config.seed, DROPOUT_STREAM), state.step)
        scale = 1.0 if state.loss_scale is None else state.loss_scale.value

        def gradients_of(batch_stats: Any, part: Batch, number: jax.Array | int) -> Any:
            key = jax.random.fold_in(dropout_key, number)

            def scaled_loss(params: Any) -> Any:
                if not config.optim.unfreeze_epoch:
                    params = optimizer.without_gradient(params, config.optim)
                loss, rest = loss_fn(params, batch_stats, part, epoch, key)
                return loss * scale, rest

            gradients, (metrics, new_stats) = jax.grad(scaled_loss, has_aux=True)(state.variables.params)
            return (gradients, metrics), new_stats

        if config.gradient_accumulation == 1:
            (gradients, metrics), batch_stats = gradients_of(state.variables.batch_stats, batch, 0)
        else:
            parts = jax.lax.with_sharding_constraint(_parts(batch, config), sharding.by_part(mesh))
            (gradients, metrics), batch_stats = accumulate(
                gradients_of, state.variables.batch_stats, parts, unroll=sharding.on_cpu(mesh)
            )
        gradients = jax.tree.map(lambda x: x / scale, gradients)
        # Its norm shows that the new state is not finite while the loss is still that of the old one.
        gradients = optimizer.hold_frozen(gradients, config.optim, state.step, steps_per_epoch)
        metrics["gradient_norm"] = optimizer.global_norm(gradients)

        new_state = updated(state, gradients, batch_stats, learning_rate)
        if state.loss_scale is not None:
            new_state, metrics = _unless_overflow(state, state.loss_scale, new_state, metrics)
        shardings = sharding.of_tree(new_state, mesh, config.parallel)
        return jax.lax.with_sharding_constraint(new_state, shardings), metrics

    def updated(state: TrainState, gradients: Any, batch_stats: Any, learning_rate: jax.Array) -> TrainState:
        old, optim = state.variables, config.optim
        updates, opt_state = tx.update(gradients, state.opt_state, old.params, learning_rate=learning_rate)
        updates = optimizer.hold_frozen(updates, optim, state.step, steps_per_epoch)
        if state.rate_scale is not None:
            updates = jax.tree.map(lambda x: x * state.rate_scale, updates)
        params = optax.apply_updates(old.params, updates)
        batch_stats = optimizer.keep_frozen(batch_stats, old.batch_stats, optim, state.step, steps_per_epoch)
        variables = Variables(params, batch_stats)
        new_state = state.replace(step=state.step + 1, variables=variables, opt_state=opt_state)
        if state.averaged is None:
            return new_state
        averaged = optimizer.average(optim, state.averaged, variables, new_state.step, steps_per_epoch)
        return new_state.replace(averaged=averaged)

    program = jax.jit(train_step, donate_argnums=0, compiler_options=compiler.options())
    return TrainStep(program, schedule, mesh)


def make_loss_fn(
    apply_fn: Callable[..., Any], config: Config, class_weights: Float[np.ndarray, " num_classes"] | None
) -> LossFn:
    """Returns the loss that `make_train_step` describes, as a pure function.

    It is `(params, batch_stats, batch, epoch, dropout_key) -> (loss, (metrics, batch_stats))`, with the loss float32
    [], the metrics by name float32 [], and the new running statistics.

    Args:
      apply_fn: `apply` of the Flax model.
      config: config of the run.
      class_weights: float32 [num_classes], weight of each image's loss by its label; None weighs all alike.
    """
    weights = None if class_weights is None else jnp.asarray(class_weights)

    # A batch has as many negatives as any other, but a part of it may not: so means are over the batch.
    num_negatives = config.num_negatives
    of_photos = config.batch_size / (config.batch_size - num_negatives)
    of_negatives = config.batch_size / max(num_negatives, 1)

    def losses_of(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Returns float32 [batch] by name, whose means are the losses."""
        smoothing = config.optim.label_smoothing
        if not num_negatives:
            return {"loss": losses.weighted_cross_entropy(logits, labels, smoothing, weights)}
        is_negative = labels == NEGATIVE_LABEL
        loss = losses.weighted_cross_entropy(logits, jnp.where(is_negative, 0, labels), smoothing, weights)
        return {
            "loss": of_photos * jnp.where(is_negative, 0, loss),
            "negatives_loss": of_negatives * jnp.where(is_negative, losses.uniform_divergence(logits), 0),
        }

    def loss_fn(
        params: Any, batch_stats: Any, batch: Batch, epoch: jax.Array, dropout_key: jax.Array
    ) -> tuple[jax.Array, Any]:
        images, own_share = images_lib.train_images(batch, photo_keys(config.seed, epoch, batch["index"]), config)
        logits, updates = apply_fn(
            Variables(params, batch_stats).collections(),
            images,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
        found = losses_of(logits, batch["label"])
        if own_share is not None:
            others = losses_of(logits, mix.swap_neighbours(batch["label"]))
            found = {name: own_share * found[name] + (1 - own_share) * others[name] for name in found}
        metrics = {name: value.mean() for name, value in found.items()}
        metrics["top1"] = (logits.argmax(axis=-1) == batch["label"]).mean()
        loss = metrics["loss"]
        if num_negatives:
            metrics["top1"] *= of_photos
            loss = loss + config.optim.negatives_weight * metrics["negatives_loss"]
        return loss, (metrics, updates.get("batch_stats", {}))

    return loss_fn


def _parts(batch: Batch, config: Config) -> Batch:
    """Returns the batch as [parts, batch_size // parts, ...], with images assigned to parts in turn.

    So a part is the same on any number of devices, and no image moves between devices. Both images of a pair that is
    mixed are assigned to the same part.
    """
    parts, together = config.gradient_accumulation, 2 if config.augment.mixes else 1

    def deal(x: jax.Array) -> jax.Array:
        rest = x.shape[1:]
        return jnp.moveaxis(x.reshape(-1, parts, together, *rest), 1, 0).reshape(parts, -1, *rest)

    return jax.tree.map(deal, batch)


def accumulate(function: Callable[..., Any], carry: Any, parts: Any, unroll: bool) -> Any:
    """Calls `function(carry, part, number) -> (value, carry)` for one part after another.

    Args:
      function: returns a value, a pytree of float arrays, and the next carry.
      carry: carry of the first call.
      parts: pytree of arrays whose first axis counts the parts.
      unroll: repeat the program for each part instead of looping: in a loop XLA's CPU backend computes convolutions 25
        times slower.

    Returns:
      The mean of the values, and the carry of the last call.
    """
    count = len(jax.tree.leaves(parts)[0])

    def body(so_far: Any, numbered: Any) -> Any:
        total, carry = so_far
        value, carry = function(carry, *numbered)
        return (jax.tree.map(jnp.add, total, value), carry), None

    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(function, carry, first, 0)[0]
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    (total, carry), _ = jax.lax.scan(body, (zero, carry), (parts, jnp.arange(count)), unroll=unroll)
    return jax.tree.map(lambda x: x / count, total), carry


def _unless_overflow(
    old: TrainState, scale: LossScale, new: TrainState, metrics: dict[str, jax.Array]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Returns the old state with its step advanced where float16 gradients overflowed; and metrics with the scale."""
    norm = metrics["gradient_norm"]
    finite = jnp.isfinite(norm)
    kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old.replace(step=new.step))
    # An overflow that a smaller scale may remove is not an error.
    harmless = ~finite & (scale.value > loss_scale.SMALLEST)
    metrics |= {"gradient_norm": jnp.where(harmless, 0.0, norm), "loss_scale": scale.value}
    return kept.replace(loss_scale=scale.update(finite)), metrics
