from __future__ import annotations

import errno
import os

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import files


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS])
def test_what_the_operating_system_refuses_is_one_line(number: int) -> None:
    with (
        pytest.raises(UserError, match=rf"cannot write a book to \S+: {os.strerror(number)}; buy paper"),
        files.writing("a book to /shelf", "buy paper"),
    ):
        raise RuntimeError(f"wrapped twice: {OSError(number, os.strerror(number))}")


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), files.writing("a book", "buy paper"):
        raise ZeroDivisionError
    with pytest.raises(UserError, match=r"^nearer: No space left on device$"), files.writing("a book", "buy paper"):
        raise UserError("nearer: No space left on device")
