"""The retry policy of requests to a bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenacity

from butterflyer_jax.storage.errors import is_transient

# In addition to the retries of gcsfs itself, which take half a minute without a network.
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 1.0


def policy(
    first_wait_seconds: float | None = None,
    is_worth_it: Callable[[BaseException], bool] = is_transient,
    sleep: Callable[[float], Any] = tenacity.nap.sleep,
    before_sleep: Callable[[BaseException], None] | None = None,
) -> tenacity.Retrying:
    """Returns a callable that calls a function with its arguments, and retries it where that may help.

    Args:
      first_wait_seconds: longest wait before the second attempt, by default `FIRST_WAIT_SECONDS`; it doubles with
        each further one.
      is_worth_it: returns whether an error may be transient.
      sleep: function that waits for a number of seconds.
      before_sleep: called with the error of an attempt that will be repeated.
    """
    report = before_sleep
    first = FIRST_WAIT_SECONDS if first_wait_seconds is None else first_wait_seconds

    def before(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if report and error:
            report(error)

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        retry=tenacity.retry_if_exception(is_worth_it),
        # With jitter: an overloaded bucket would be overloaded again if all processes retried at once.
        wait=tenacity.wait_exponential(multiplier=first / 2) + tenacity.wait_random(0, first / 2),
        sleep=sleep,
        before_sleep=before,
        reraise=True,
    )
