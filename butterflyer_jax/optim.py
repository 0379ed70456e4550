"""Learning-rate schedules and optimizers by name, and masks over parameters by the regex of their path."""

from __future__ import annotations

import re
from typing import Any

import jax
import optax

from butterflyer_jax.config import OptimConfig

DECAYED = r"/kernel$"


def make_schedule(config: OptimConfig, steps_per_epoch: int, total_steps: int) -> optax.Schedule:
    """Returns the learning rate by step: a linear warm-up, then cosine to zero or constant."""
    # A step 0 at a rate of zero would be lost, so the warm-up starts one step in.
    warmup_steps = min(round(config.warmup_epochs * steps_per_epoch), total_steps - 1)
    rest = total_steps - warmup_steps
    after = (
        optax.cosine_decay_schedule(config.learning_rate, rest)
        if config.schedule == "cosine"
        else optax.constant_schedule(config.learning_rate)
    )
    if not warmup_steps:
        return after
    start = config.learning_rate / (warmup_steps + 1)
    warmup = optax.linear_schedule(start, config.learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def make_optimizer(config: OptimConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Returns the optimizer that `config` names; weight decay reaches kernels alone."""

    def decayed(params: Any) -> Any:
        return mask_by_path(params, DECAYED)

    transforms = []
    if config.gradient_clip_norm:
        transforms.append(optax.clip_by_global_norm(config.gradient_clip_norm))
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
    return optax.chain(*transforms)


def mask_by_path(params: Any, pattern: str) -> Any:
    """Returns a tree of bool, True where `pattern` is found in the parameter's path, such as `/block1_conv1/kernel`."""
    regex = re.compile(pattern)
    return jax.tree.map_with_path(
        lambda path, _: bool(regex.search("/" + jax.tree_util.keystr(path, simple=True, separator="/"))), params
    )
