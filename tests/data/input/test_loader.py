"""The loader's thread: items in order, its errors, and its end with the reader."""

from __future__ import annotations

import threading

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.data.input import loader
from butterflyer_jax.data.input.loader import in_background


def test_what_a_thread_makes_comes_in_order_and_its_errors_too() -> None:
    def items():  # noqa: ANN202
        yield from range(5)
        raise UserError("no more")

    seen = []
    with pytest.raises(UserError, match="no more"):
        for item in in_background(items(), 2):
            seen.append(item)
    assert seen == [0, 1, 2, 3, 4]
    assert list(in_background(iter(()), 2)) == []


def test_a_thread_ends_with_its_reader_and_waits_for_no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "JOIN_SECONDS", 0.01)
    made, bucket = [], threading.Event()

    def items():  # noqa: ANN202
        for number in range(100):
            made.append(number)
            if number == 4:
                bucket.wait()
            yield number

    ready = in_background(items(), 2)
    assert next(ready) == 0
    ready.close()
    assert len(made) <= 5
    [thread] = [thread for thread in threading.enumerate() if thread.name == "butterflyer-input"] or [None]
    bucket.set()
    if thread:
        thread.join()
    assert len(made) <= 5
