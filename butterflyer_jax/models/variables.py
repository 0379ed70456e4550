"""Variables of a network, with their shapes and initial values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Key

from butterflyer_jax.config import Config
from butterflyer_jax.distributed import sharding

Batch: TypeAlias = dict[str, jax.Array]
# Streams of random numbers that share the seed.
INIT_STREAM, DROPOUT_STREAM, AUGMENT_STREAM = range(3)


class Variables(flax.struct.PyTreeNode):
    """Parameters and batch statistics of a network.

    Attributes:
      params: float32 parameters.
      batch_stats: running mean and variance of each batch normalisation; empty without batch normalisation.
    """

    params: Any
    batch_stats: Any

    def collections(self) -> dict[str, Any]:
        """Returns the variables as Flax's `apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def abstract_variables(model: nn.Module, config: Config, mesh: Mesh) -> Variables:
    """Returns the shapes, dtypes and shardings of the network's variables; nothing is computed."""
    result: Variables = sharding.abstract(
        jax.eval_shape(lambda: initial_variables(model, config)), mesh, config.parallel
    )
    return result


def initial_variables(model: nn.Module, config: Config) -> Variables:
    """Returns the initial variables of a network, drawn from the config's seed."""
    image = jnp.zeros((1, config.data.image_size, config.data.image_size, 3))
    collections = model.init(stream_key(config.seed, INIT_STREAM), image, train=False)
    return Variables(collections["params"], collections.get("batch_stats", {}))


def by_path(variables: Variables) -> dict[str, Any]:
    """Returns the leaves in their order, by names such as "/block1_bn1/scale"; no parameter and statistic share one."""
    leaves = jax.tree.leaves_with_path((variables.params, variables.batch_stats))
    return {"/" + jax.tree_util.keystr(path[1:], simple=True, separator="/"): leaf for path, leaf in leaves}


def map_by_path(function: Callable[[str, Any], Any], variables: Variables) -> Variables:
    """Returns the variables with `function(path, leaf)` in place of each leaf; paths as in `by_path`."""
    leaves = [function(path, leaf) for path, leaf in by_path(variables).items()]
    result: Variables = jax.tree.unflatten(jax.tree.structure(variables), leaves)
    return result


def stream_key(seed: int, stream: int) -> Key[jax.Array, ""]:
    """Returns the PRNG key of one of the streams of random numbers that share the seed."""
    return jax.random.fold_in(jax.random.key(seed), stream)
