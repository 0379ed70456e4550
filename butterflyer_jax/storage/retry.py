"""Requests to a bucket, and their retry policy."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tenacity

from butterflyer_jax.storage import bucket
from butterflyer_jax.storage.errors import is_transient

# In addition to the retries of gcsfs itself, which take half a minute without a network.
ATTEMPTS = 4
# Longest wait before the second attempt; it doubles with each further one.
FIRST_WAIT_SECONDS = 1.0


def call(url: str | os.PathLike[str], method: str, *arguments: Any, **options: Any) -> Any:
    """Returns what a method of the URL's fsspec file system returns for the path in it, with retries.

    Raises:
      UserError: no file system for this kind of URL. Errors of the bucket pass unchanged.
    """
    filesystem, path = bucket.connect(os.fspath(url))
    return policy()(getattr(filesystem, method), path, *arguments, **options)


def policy(
    is_worth_it: Callable[[BaseException], bool] = is_transient,
    sleep: Callable[[float], Any] = tenacity.nap.sleep,
    before_sleep: Callable[[tenacity.RetryCallState], None] | None = None,
) -> tenacity.Retrying:
    """Returns a callable that calls a function with its arguments, and retries it where that may help.

    Args:
      is_worth_it: returns whether an error may be transient.
      sleep: function that waits for a number of seconds.
      before_sleep: called with the state of an attempt that will be repeated.
    """
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        retry=tenacity.retry_if_exception(is_worth_it),
        # With jitter: an overloaded bucket would be overloaded again if all processes retried at once.
        wait=tenacity.wait_exponential(multiplier=FIRST_WAIT_SECONDS / 2)
        + tenacity.wait_random(0, FIRST_WAIT_SECONDS / 2),
        sleep=sleep,
        before_sleep=before_sleep,
        reraise=True,
    )
