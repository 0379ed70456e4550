"""Requests to a bucket are retried as often as ever, after milliseconds: python -m tests.helpers.quick_retries MODULE …

Half of the time of a command on a network that fails now and then are waits of one second and more, in which it does
nothing. The first attempts, their number, and what is retried stay as they are.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
import time
from types import SimpleNamespace

SHARE = 0.02


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(SHARE * seconds)


def install() -> None:
    """Shortens the waits of gcsfs, of our own policy, and of TensorStore within Orbax, in this process."""
    import gcsfs.retry
    import tenacity.nap
    from orbax.checkpoint._src.serialization import tensorstore_utils

    gcsfs.retry.asyncio = SimpleNamespace(sleep=_sleep)
    tenacity.nap.time = SimpleNamespace(sleep=lambda seconds: time.sleep(SHARE * seconds))
    for context in (tensorstore_utils._BASE_TS_CONTEXT, tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT):
        context["gcs_request_retries"] = {"initial_delay": "20ms", "max_delay": "640ms"}


if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
