"""The StableHLO writer, by `jax.export`: for JAX or another StableHLO runtime, without this package or Flax."""

from __future__ import annotations

from pathlib import Path

from butterflyer_jax.export.network import Network

NAME = "model.stablehlo"
RUNTIME = "jax"
NEEDS = ("jax",)
READ_NEEDS, READ_NOTE = ("jax",), ""
PLATFORMS = ("cpu", "cuda", "tpu")
HAS_TYPICALITY = True
READ = """
import jax.export
import numpy as np

with open(path, "rb") as file:
    exported = jax.export.deserialize(bytearray(file.read()))

def answer(images):
    # A batch is of any size from 1.
    some = images if len(images) else np.zeros((1, *images.shape[1:]), np.uint8)
    found = exported.call(some)
    found = found if isinstance(found, dict) else {"probabilities": found}
    return {output: np.asarray(array)[: len(images)] for output, array in found.items()}

def probabilities(images):
    return answer(images)["probabilities"]
"""


def write(network: Network, path: Path) -> None:
    """Writes the network with its weights for CPU, CUDA and TPU, and any batch size."""
    import jax
    import jax.export
    import jax.numpy as jnp

    from butterflyer_jax.export.reference import make_function

    side = network.image_size
    [batch] = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, side, side, 3), jnp.uint8)
    exported = jax.export.export(jax.jit(make_function(network)), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
