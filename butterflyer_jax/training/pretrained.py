"""A run that starts from weights made elsewhere: finds them, settles mean and standard deviation, puts them in.

The weights are read once. A run that goes on has its own checkpoint, and its config.json holds what came with them.
"""

from __future__ import annotations

import dataclasses
import os
import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jax
import numpy as np
from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.config import Config, ModelConfig
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.models import weights as weights_module
from butterflyer_jax.models.variables import Variables
from butterflyer_jax.models.weights import Tensor, Weights
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.storage import download, paths
from butterflyer_jax.training.state import TrainState

# Folder of the cache.
CACHE = "pretrained"


def settle(config: Config, output: str | os.PathLike[str]) -> tuple[Config, Weights | None]:
    """Returns the config with the mean and standard deviation of its pretrained weights, and the weights.

    The weights are None where there are none to start from: the config names none, or the run in `output` has a
    checkpoint, which comes first. Their source may then be gone.

    Raises:
      UserError: no such source, it is damaged or no VGG, or a VGG of another kind than the config's.
    """
    if not config.model.pretrained:
        return config, None
    folder = paths.path(output)
    if (folder / runs.CONFIG_FILE).exists():
        run = runs.read(output)
        if run.config.model.pretrained != config.model.pretrained:
            # `runs.open_or_create` shows this, and every other difference.
            return config, None
        if _has_checkpoint(run):
            return _with_colours(config, run.config.model.mean, run.config.model.std), None
    weights = load(config.model.pretrained, config.model.pretrained_input)
    _check_kind(weights, config.model)
    if weights.mean is None or weights.std is None:
        return config, weights
    ours, defaults = config.model, ModelConfig()
    if (ours.mean, ours.std) not in ((defaults.mean, defaults.std), (weights.mean, weights.std)):
        raise UserError(
            f"config fields model.mean and model.std are set, and {weights.origin} brings its own: leave them out, or "
            "keep them with model.pretrained_input=config"
        )
    return _with_colours(config, weights.mean, weights.std), weights


def load(source: str, colours: str = "auto") -> Weights:
    """Returns the weights of a file or of an earlier run.

    Args:
      source: a file or a run folder, local or gs://, or the address of a file.
      colours: config field model.pretrained_input.

    Raises:
      UserError: no such source, or it is damaged or no VGG.
    """
    suffixes = weights_module.SUFFIXES
    if paths.is_remote(source):
        if posixpath.splitext(urlsplit(source).path)[1].lower() in suffixes:
            return weights_module.read(download.cached_file(source, CACHE), source, colours)
        if not source.startswith("gs://"):
            raise UserError(f"{source} is no file of weights: its name must end with {', '.join(suffixes)}")
    path = paths.path(source)
    if paths.is_remote(source) or path.is_dir():
        return from_run(path, colours)
    if not path.exists():
        raise UserError(f"no such file of weights: {path}")
    return weights_module.read(Path(path), os.fspath(path), colours)


def from_run(folder: epath.Path, colours: str = "auto") -> Weights:
    """Returns the weights of the best checkpoint of a run.

    Raises:
      UserError: no run there, or no checkpoint yet.
    """
    if colours not in ("auto", "config"):
        raise UserError(f"config field model.pretrained_input = {colours!r} is for files: a run brings its own mean")
    run = runs.read(folder)
    variables = runs.load_model(run).variables
    tensors = tuple(
        Tensor(path, value.shape, path, np.asarray(value, np.float32)) for path, value in _by_path(variables).items()
    )
    model = run.config.model
    mean, std = (model.mean, model.std) if colours == "auto" else (None, None)
    return Weights(os.fspath(folder), model.variant, model.batch_norm, mean, std, tensors, run.species)


def match(
    weights: Weights, abstract: Variables, config: ModelConfig, species: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Returns the values that the network takes, by path; prints what becomes of each tensor, there and here.

    Args:
      weights: of the source.
      abstract: shapes of the network's variables.
      config: its model section says what may start anew.
      species: of the logits.

    Raises:
      UserError: a tensor finds no place, or no value, and the config does not allow it.
    """
    shapes = {path: leaf.shape for path, leaf in _by_path(abstract).items()}
    values, rows = weights_module.match(weights, shapes, config.pretrained_allow, species)
    say(f"pretrained weights: {weights.origin}, {weights.variant}")
    for line in weights_module.table(rows):
        say(line)
    weights_module.check(weights, rows, config.pretrained_allow)
    say(f"pretrained weights: {weights_module.summary(rows)}; mean {_short(config.mean)}, std {_short(config.std)}")
    return values


def insert(state: TrainState, values: dict[str, np.ndarray]) -> TrainState:
    """Returns a new state with the values in place of its initial ones, laid out as these are.

    Takes the values out of the dict, so that training does not keep them in the host's memory.
    """

    def replaced(path: str, leaf: jax.Array) -> jax.Array:
        # Copied, as the train step takes over the memory of its state.
        return jax.device_put(values.pop(path), leaf.sharding, may_alias=False) if path in values else leaf

    leaves = [replaced(path, leaf) for path, leaf in _by_path(state.variables).items()]
    variables = jax.tree.unflatten(jax.tree.structure(state.variables), leaves)
    # An average of weights begins with these too; a copy, as the two are given up one by one.
    averaged = None if state.averaged is None else jax.tree.map(jax.numpy.copy, variables)
    return state.replace(variables=variables, averaged=averaged)


def _by_path(variables: Variables) -> dict[str, Any]:
    """Returns the leaves in their order, by names such as "/block1_bn1/scale"; parameters and statistics share none."""
    leaves = jax.tree.leaves_with_path((variables.params, variables.batch_stats))
    return {"/" + jax.tree_util.keystr(path[1:], simple=True, separator="/"): leaf for path, leaf in leaves}


def _check_kind(weights: Weights, config: ModelConfig) -> None:
    theirs, ours = ((x.variant, x.batch_norm) for x in (weights, config))
    if theirs != ours:
        held, wanted = (f"{variant} {'with' if norm else 'without'} batch norm" for variant, norm in (theirs, ours))
        raise UserError(
            f"{weights.origin} holds {held}, the config says {wanted}: set --config.model.variant={weights.variant} "
            f"--config.model.batch_norm={weights.batch_norm}"
        )


def _has_checkpoint(run: runs.Run) -> bool:
    if not run.checkpoints.exists():
        return False
    checkpointer = Checkpointer(run.checkpoints, read_only=True)
    step = checkpointer.latest_step()
    checkpointer.close()
    return step is not None


def _with_colours(config: Config, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, mean=mean, std=std))


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3g}" for value in values)
