"""Learning-rate schedules, optimizers, and per-layer freezing and rates by a regex of parameter paths."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float32, Int32, Integer

from butterflyer_jax.config import OptimConfig
from butterflyer_jax.errors import UserError

DECAYED = r"/kernel$"


def make_schedule(config: OptimConfig, steps_per_epoch: int, total_steps: int) -> optax.Schedule:
    """Returns the learning rate by step: a linear warm-up, then the schedule that `config.schedule` names.

    cosine and polynomial end at zero with the last step; step multiplies by `decay_factor` every `decay_epochs`;
    constant and plateau do not change it (the factor of plateau is in the state, see `training.state.TrainState`).

    Args:
      config: optimizer config.
      steps_per_epoch: number of batches per epoch.
      total_steps: number of steps of the whole training.
    """
    # A step at a rate of zero would be wasted, so the warm-up starts one step in.
    warmup_steps = min(round(config.warmup_epochs * steps_per_epoch), total_steps - 1)
    rest = total_steps - warmup_steps
    match config.schedule:
        case "cosine":
            after = optax.cosine_decay_schedule(config.learning_rate, rest)
        case "polynomial":
            after = optax.polynomial_schedule(config.learning_rate, 0.0, config.polynomial_power, rest)
        case "step":
            every = max(1, round(config.decay_epochs * steps_per_epoch))
            # Epochs count from the start of the run, warm-up included.
            boundaries = {at - warmup_steps: config.decay_factor for at in range(every, total_steps, every)}
            passed = config.decay_factor ** sum(at <= 0 for at in boundaries)
            later = {at: factor for at, factor in boundaries.items() if at > 0}
            after = optax.piecewise_constant_schedule(config.learning_rate * passed, later)
        case _:
            after = optax.constant_schedule(config.learning_rate)
    if not warmup_steps:
        return after
    start = config.learning_rate / (warmup_steps + 1)
    warmup = optax.linear_schedule(start, config.learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def make_optimizer(config: OptimConfig) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer that `config` names; weight decay applies to kernels only.

    Its update takes `learning_rate`, float32 []: the value of the schedule at `update_count`. So the schedule is not
    part of the compiled step.
    """

    def update(updates: Any, state: Any, params: Any = None, *, learning_rate: Any, **_: Any) -> Any:
        return _at_rate(config, learning_rate).update(updates, state, params)

    return optax.GradientTransformationExtraArgs(_at_rate(config, 0.0).init, update)


def update_count(opt_state: Any) -> Int32[jax.Array, ""]:
    """Returns the number of updates done, int32 []; updates that an overflow undid do not count."""

    def counts(node: Any) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    [found] = filter(counts, jax.tree.leaves(opt_state, is_leaf=counts))
    return found.count


def global_norm(tree: Any) -> Float32[jax.Array, ""]:
    """Returns the Euclidean norm of all numbers of a tree of float32 arrays, float32 [].

    Equal to `optax.global_norm` to rounding. For CPUs: there XLA writes the squares to memory before it adds them, but
    not the terms of a product: 2.0 instead of 4.9 ms of 2.6 million numbers (one core of Zen 3, jax 0.10.2).
    """
    squares = [jnp.tensordot(x, x, axes=x.ndim, precision=jax.lax.Precision.HIGHEST) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, start=jnp.float32(0)))


def _at_rate(config: OptimConfig, learning_rate: Any) -> optax.GradientTransformation:
    # A schedule, as its state counts the updates.
    def schedule(_: Any) -> Any:
        return learning_rate

    def decayed(params: Any) -> Any:
        return mask_by_path(params, DECAYED)

    transforms = []
    match config.name:
        case "sgd":
            transforms.append(optax.add_decayed_weights(config.weight_decay, mask=decayed))
            transforms.append(optax.sgd(schedule, momentum=config.momentum, nesterov=True))
        case "adamw":
            transforms.append(optax.adamw(schedule, weight_decay=config.weight_decay, mask=decayed))
        case "lion":
            transforms.append(optax.lion(schedule, weight_decay=config.weight_decay, mask=decayed))
        case "lamb":
            transforms.append(optax.lamb(schedule, weight_decay=config.weight_decay, mask=decayed))
        case name:
            raise ValueError(f"no optimizer {name!r}")
    if config.layer_decay < 1:
        transforms.append(_scale_by_layer(config.layer_decay))
    return _clipped(optax.chain(*transforms), config.gradient_clip_norm)


def _clipped(tx: optax.GradientTransformation, max_norm: float) -> optax.GradientTransformation:
    """Returns `tx` applied to clipped gradients; its state is that of `tx`, so a resumed run may start to clip."""
    if not max_norm:
        return tx

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        norm = global_norm(updates)
        clipped = jax.tree.map(lambda x: jnp.where(norm < max_norm, x, x / norm * max_norm), updates)
        return tx.update(clipped, state, params)

    return optax.GradientTransformation(tx.init, update)


def _scale_by_layer(layer_decay: float) -> optax.GradientTransformation:
    def scale(updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda x, factor: x * factor, updates, layer_multipliers(updates, layer_decay))

    return optax.stateless(scale)


def paths(params: Any) -> Any:
    """Returns a tree of each array's path, such as `/block1_conv1/kernel`."""
    return jax.tree.map_with_path(lambda path, _: "/" + jax.tree_util.keystr(path, simple=True, separator="/"), params)


def mask_by_path(params: Any, pattern: str) -> Any:
    """Returns a tree of bool, True where `pattern` is found in the parameter's path."""
    regex = re.compile(pattern)
    return jax.tree.map(lambda path: bool(regex.search(path)), paths(params))


def check_freeze(params: Any, config: OptimConfig) -> None:
    """Raises a UserError if `config.freeze` matches no parameter, or all of them."""
    if not config.freeze:
        return
    held = jax.tree.leaves(mask_by_path(params, config.freeze))
    if any(held) and not all(held):
        return
    layers = ", ".join(sorted(params, key=_place))
    fault = "freezes all layers: none would be trained" if any(held) else "matches no layer: nothing would be frozen"
    raise UserError(f"config field optim.freeze = {config.freeze!r} {fault}. The layers are {layers}, each behind a /")


def without_gradient(params: Any, config: OptimConfig) -> Any:
    """Returns the parameters with the gradient stopped for those that `config.freeze` matches; XLA skips it."""
    if not config.freeze:
        return params
    frozen = mask_by_path(params, config.freeze)
    return jax.tree.map(lambda held, x: jax.lax.stop_gradient(x) if held else x, frozen, params)


def hold_frozen(tree: Any, config: OptimConfig, step: Integer[jax.Array, ""], steps_per_epoch: int) -> Any:
    """Returns gradients or updates, set to zero for parameters that are frozen at this step."""
    return keep_frozen(tree, jax.tree.map(jnp.zeros_like, tree), config, step, steps_per_epoch)


def keep_frozen(new: Any, old: Any, config: OptimConfig, step: Integer[jax.Array, ""], steps_per_epoch: int) -> Any:
    """Returns `new`, with the values of `old` for layers that are frozen at this step.

    Args:
      new: parameters or batch statistics after the step.
      old: the same pytree before the step.
      config: optimizer config, with `freeze` and `unfreeze_epoch`.
      step: int32 [], steps done.
      steps_per_epoch: number of batches per epoch.
    """
    if not config.freeze:
        return new
    still = step < config.unfreeze_epoch * steps_per_epoch if config.unfreeze_epoch else jnp.bool(True)
    frozen = mask_by_path(new, config.freeze)
    return jax.tree.map(lambda held, a, b: jnp.where(still, b, a) if held else a, frozen, new, old)


def layer_multipliers(params: Any, layer_decay: float) -> Any:
    """Returns a tree of float, the learning-rate multiplier of each parameter.

    It is 1 for the last layer, and is multiplied by `layer_decay` for each layer before it; a batch normalisation
    belongs to its convolution's layer (as in ELECTRA, Clark et al. 2020, arXiv:2003.10555, and BEiT).
    """
    layers = list(dict.fromkeys(_layer(name) for name in sorted(params, key=_place)))
    depth = {name: len(layers) - 1 - layers.index(_layer(name)) for name in params}
    return {name: jax.tree.map(lambda _, n=name: layer_decay ** depth[n], params[name]) for name in params}


def _layer(name: str) -> str:
    return name.replace("_bn", "_conv")


def _place(name: str) -> tuple[bool, str]:
    # block1_conv1 … block5_conv4, fc1, fc2, logits.
    return not name.startswith("block"), name


def average(config: OptimConfig, averaged: Any, new: Any, step: Integer[jax.Array, ""], steps_per_epoch: int) -> Any:
    """Returns the averaged weights after a step.

    ema: exponential moving average, whose decay grows with (1 + step) / (10 + step) to `ema_decay`, so that the first
    weights are soon forgotten. swa: the mean of the weights at the end of each epoch from `swa_start_epoch` on
    (Izmailov et al. 2018, arXiv:1803.05407), running statistics of batch normalisation included; until then the weights
    themselves.

    Args:
      config: optimizer config; its `average` names the kind of average.
      averaged: pytree of float arrays, the average so far.
      new: pytree of float arrays, the weights after this step.
      step: int32 [], steps done, this one included.
      steps_per_epoch: number of batches per epoch.
    """
    if config.average == "ema":
        decay = jnp.minimum(config.ema_decay, (1 + step) / (10 + step))
        return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, averaged, new)
    epoch = step / steps_per_epoch
    # The weights at the end of the n-th averaged epoch enter with a share of 1 / n.
    count = jnp.maximum(1, jnp.floor(epoch - config.swa_start_epoch) + 1)
    counts = (step % steps_per_epoch == 0) | (epoch < config.swa_start_epoch)
    share = jnp.where(counts, jnp.where(epoch < config.swa_start_epoch, 1.0, 1 / count), 0.0)
    return jax.tree.map(lambda a, b: a + share * (b - a), averaged, new)
