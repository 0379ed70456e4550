"""What is set before the first computation: flags of XLA, other processes of the run, the cache of compiled steps."""

from __future__ import annotations

import os

from butterflyer_jax import console, distributed
from butterflyer_jax.config import Config

DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops=true"


def prepare(config: Config, place: distributed.Place | None) -> bool:
    """Gets this process ready to train; returns whether it is the one that speaks and writes for all.

    Args:
      config: of the run.
      place: of this process among several; None asks the environment.

    Raises:
      UserError: the other processes cannot be joined.
    """
    if config.deterministic and DETERMINISTIC_FLAG not in os.environ.get("XLA_FLAGS", ""):
        # Read when JAX looks for devices for the first time.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC_FLAG}".strip()
    distributed.start(place)
    import jax

    from butterflyer_jax import compilation
    from butterflyer_jax.data import work

    speaks = jax.process_index() == 0
    if not speaks:
        console.be_quiet()
    if config.compilation_cache:
        compilation.keep_compiled(work.cache_dir() / "xla")
    return speaks
