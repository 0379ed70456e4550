"""Pretrained weights that a run starts from: fetched by name or read from a file or a run, checked and inserted.

They are read once, before the first step. A resumed run has its own checkpoint, and its config.json holds the mean and
standard deviation that came with them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import jax
import numpy as np
from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.config import Config, ModelConfig
from butterflyer_jax.console import say
from butterflyer_jax.data import species_map
from butterflyer_jax.data.species_names import make_close
from butterflyer_jax.errors import UserError
from butterflyer_jax.models import weights as weights_module
from butterflyer_jax.models.variables import Variables, by_path, map_by_path
from butterflyer_jax.models.vgg import WIDTHS, scaled
from butterflyer_jax.models.weights import Tensor, Weights, names, shipped
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.storage import download, files, hub, paths
from butterflyer_jax.training.state import TrainState

# The folder of the cache for single files.
CACHE = "pretrained"


def settle(config: Config, output: str | os.PathLike[str]) -> tuple[Config, Weights | None]:
    """Returns the config with the mean and standard deviation of its pretrained weights, and the weights.

    Args:
      config: config of the run; its model section names the weights.
      output: run folder.

    Returns:
      The config, and the weights. These are None if the config names none, or if the run in `output` has a checkpoint,
      which takes precedence; the source of the weights need not exist any more then.

    Raises:
      UserError: no such source, it is damaged or no VGG, or a VGG of another kind than the config's.
    """
    if not config.model.pretrained:
        return config, None
    folder = paths.path(output)
    if files.exists(folder / runs.CONFIG_FILE):
        run = runs.read(output)
        if run.config.model.pretrained != config.model.pretrained:
            # `runs.open_or_create` reports this and every other difference.
            return config, None
        if has_checkpoint(run):
            return _with_colours(config, run.config.model.mean, run.config.model.std), None
    weights = load(config.model)
    _check_kind(weights.origin, weights.variant, weights.batch_norm, config.model)
    _check_width(weights, config.model)
    if weights.mean is None or weights.std is None:
        return config, weights
    ours, defaults = config.model, ModelConfig()
    if (ours.mean, ours.std) not in ((defaults.mean, defaults.std), (weights.mean, weights.std)):
        raise UserError(
            f"config fields model.mean and model.std are set, and {weights.origin} brings its own: leave them out, or "
            "keep them with model.pretrained_input=config"
        )
    return _with_colours(config, weights.mean, weights.std), weights


def load(config: ModelConfig) -> Weights:
    """Returns the weights that a config names: by name, as a file, or as an earlier run.

    Args:
      config: model config; its `pretrained` is a name (see `models.weights.names`), a file or a run folder, local or
        gs://, or the URL of a file.

    Raises:
      UserError: the source does not exist, is damaged, or is no VGG.
    """
    source, colours = config.pretrained, config.pretrained_input
    if source == shipped.DRAWN:
        file = shipped.file_of(config.variant, config.batch_norm, config.width_multiplier)
        return weights_module.read(file, f"{shipped.DRAWN} ({file.name})", colours)
    named = names.find(source, config.variant, config.batch_norm)
    if named is not None:
        return _from_hub(named, config)
    suffixes = weights_module.SUFFIXES
    if posixpath.splitext(urlsplit(source).path)[1].lower() in suffixes:
        file = download.local_file(source, CACHE)
        if file.is_file():
            return weights_module.read(file, source if "://" in source else os.fspath(file), colours)
    if source.startswith(("http://", "https://")):
        raise UserError(f"{source} is not a file of weights: its name must end with {', '.join(suffixes)}")
    path = paths.path(source)
    if files.is_folder(path):
        return from_run(path, colours)
    if not files.exists(path):
        raise UserError(f"no such file of weights: {path}; by name there are {names.KNOWN}")
    return weights_module.read(download.local_file(path, CACHE), os.fspath(path), colours)


def _from_hub(named: names.NamedWeights, config: ModelConfig) -> Weights:
    """Fetches weights from the Hub, and mean and standard deviation from the repository's config.json if it has one."""
    if named.variant is not None and named.batch_norm is not None:
        # Check before half a gigabyte is fetched.
        _check_kind(str(named.file), named.variant, named.batch_norm, config)
    try:
        text = hub.fetch(dataclasses.replace(named.file, file=names.CONFIG_FILE)).read_text(encoding="utf-8")
    except hub.MissingFileError:
        text = "{}"
    weights = weights_module.read(hub.fetch(named.file), str(named.file), config.pretrained_input)
    if config.pretrained_input != "auto":
        return weights
    mean, std = names.colours(text, str(named.file))
    return dataclasses.replace(weights, mean=mean or weights.mean, std=std or weights.std)


def from_run(folder: epath.Path, colours: str) -> Weights:
    """Returns the weights of the best checkpoint of a run.

    Args:
      folder: run folder.
      colours: `model.pretrained_input` of the config; "config" leaves out the mean and standard deviation of the run.

    Raises:
      UserError: the folder holds no run, or the run has no checkpoint yet.
    """
    if colours not in ("auto", "config"):
        raise UserError(f"config field model.pretrained_input = {colours!r} is for files: a run brings its own mean")
    run = runs.read(folder)
    variables = runs.load_model(run).variables
    tensors = tuple(
        Tensor(path, value.shape, path, np.asarray(value, np.float32)) for path, value in by_path(variables).items()
    )
    model = run.config.model
    mean, std = (model.mean, model.std) if colours == "auto" else (None, None)
    return Weights(os.fspath(folder), model.variant, model.batch_norm, mean, std, tensors, run.species)


def match(
    weights: Weights, abstract: Variables, config: ModelConfig, species: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Returns the values that the network takes, by path; prints what becomes of each tensor of source and network.

    Args:
      weights: weights of the source.
      abstract: shapes of the network's variables.
      config: model config: which layers may be re-initialised, and which species have other names in the source.
      species: names of the classes, in the order of the logits.

    Raises:
      UserError: a tensor of the source or of the network has no match, and the config does not allow it; or the table
        of species is damaged or does not fit.
    """
    shapes = {path: leaf.shape for path, leaf in by_path(abstract).items()}
    renamed = read_renamed(config.pretrained_species) if config.pretrained_species else {}
    if weights.species and species:
        renamed = other_names(weights.species, species, renamed)
    values, rows = weights_module.match(weights, shapes, config.pretrained_allow, species, renamed)
    say(f"pretrained weights: {weights.origin}, {weights.variant}")
    # What becomes of weights of the package's own is known, but for the tensors that are not taken.
    shown = [row for row in rows if row.anew or config.pretrained != shipped.DRAWN]
    for line in weights_module.table(shown):
        say(line)
    weights_module.check(weights, rows, config.pretrained_allow)
    say(f"pretrained weights: {weights_module.summary(rows)}; mean {_short(config.mean)}, std {_short(config.std)}")
    return values


def other_names(theirs: Sequence[str], ours: Sequence[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Returns our name of a species by the source's, where they differ; logs what it finds beyond `renamed`.

    Args:
      theirs: species of the source.
      ours: species of the data set.
      renamed: what the user said; it takes precedence.
    """
    find = species_map.finder(ours)
    free = [name for name in theirs if name not in ours and name not in renamed]
    taken = {*renamed.values(), *theirs}
    places = {name: find(name) for name in free}
    times = Counter(places.values())
    # Of two of their names for one of ours, neither is sure.
    found = {
        name: ours[place]
        for name, place in places.items()
        if place != species_map.UNKNOWN and times[place] == 1 and ours[place] not in taken
    }
    if found:
        pairs = ", ".join(f"{one} and {other}" for one, other in found.items())
        say(f"pretrained weights: the same species by other names: {pairs}")
    close = make_close([name for name in free if name not in found])
    new = [name for name in ours if name not in taken | {*found.values()}]
    if near := [f"{name} ({other})" for name in new if (other := close(name))]:
        say(
            f"pretrained weights: new here, though close to a species of the source: {', '.join(near)}; "
            "model.pretrained_species can match them"
        )
    return {**found, **renamed}


def read_renamed(file: str | os.PathLike[str]) -> dict[str, str]:
    """Returns our name of a species by the source's, from a CSV file with the columns source and species.

    Raises:
      UserError: the file does not exist or has other columns, or a row lacks a value.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(paths.path(file).read_bytes().decode("utf-8-sig"))))
    except FileNotFoundError as error:
        raise UserError(f"model.pretrained_species: no such file: {file}") from error
    except ValueError as error:
        raise UserError(f"model.pretrained_species: {file} is not a table in UTF-8") from error
    if not rows or not all(row.get("source") and row.get("species") for row in rows):
        raise UserError(f"model.pretrained_species: {file} must be a CSV table with the columns source,species")
    renamed = {row["source"]: row["species"] for row in rows}
    if len(renamed) < len(rows):
        raise UserError(f"model.pretrained_species: {file} names a species of the source twice")
    return renamed


def insert(state: TrainState, values: dict[str, np.ndarray]) -> TrainState:
    """Returns the state with its initial values replaced by these, in the same sharding.

    Removes the values from the dict, so that they do not stay in the host's memory during training.
    """

    def replaced(path: str, leaf: jax.Array) -> jax.Array:
        # Copied, as the train step donates the memory of its state.
        return jax.device_put(values.pop(path), leaf.sharding, may_alias=False) if path in values else leaf

    variables = map_by_path(replaced, state.variables)
    # Averaged weights start from the same values; a copy, as both buffers are donated separately.
    averaged = None if state.averaged is None else jax.tree.map(jax.numpy.copy, variables)
    return state.replace(variables=variables, averaged=averaged)


def _check_kind(origin: str, variant: str, batch_norm: bool, config: ModelConfig) -> None:
    theirs, ours = (variant, batch_norm), (config.variant, config.batch_norm)
    if theirs != ours:
        held, wanted = (f"{name} {'with' if norm else 'without'} batch norm" for name, norm in (theirs, ours))
        raise UserError(
            f"{origin} holds {held}, the config says {wanted}: set --config.model.variant={variant} "
            f"--config.model.batch_norm={batch_norm}"
        )


def _check_width(weights: Weights, config: ModelConfig) -> None:
    """Raises a UserError if no layer of the source fits because the widths differ."""
    kernel = next((x for x in weights.tensors if x.target == "/block5_conv1/kernel"), None)
    if kernel is None or kernel.value is None:
        return
    theirs, ours = kernel.value.shape[-1], scaled(WIDTHS[-1], config.width_multiplier)
    if theirs != ours:
        raise UserError(
            f"{weights.origin} is a network of another width: its last convolutions have {theirs} channels, the "
            f"config's have {ours}; set --config.model.width_multiplier={theirs / WIDTHS[-1]:g}, or take other weights"
        )


def has_checkpoint(run: runs.Run) -> bool:
    """Returns whether a run has a checkpoint to be resumed from."""
    if not files.exists(run.checkpoints):
        return False
    checkpointer = Checkpointer(run.checkpoints, read_only=True)
    step = checkpointer.latest_step()
    checkpointer.close()
    return step is not None


def _with_colours(config: Config, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, mean=mean, std=std))


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3g}" for value in values)
