"""What goes wrong with files becomes one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import files
from butterflyer_jax.storage.errors import access


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS])
def test_what_the_operating_system_refuses_is_one_line(number: int) -> None:
    with (
        pytest.raises(UserError, match=rf"cannot write a book to /shelf: {os.strerror(number)}; buy paper"),
        access("/shelf", "write", "a book", "buy paper"),
    ):
        raise RuntimeError(f"wrapped twice: {OSError(number, os.strerror(number))}")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make space there, then run the same command again: it resumes"),
        (errno.EACCES, "choose a place that you may write to"),
    ],
)
def test_each_refusal_has_its_advice(number: int, advice: str) -> None:
    with pytest.raises(UserError, match=f"^cannot write /a: {os.strerror(number)}; {advice}$"), access("/a", "write"):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), access("/a", "write"):
        raise ZeroDivisionError
    with pytest.raises(UserError, match=r"^nearer: No space left on device$"), access("/a", "write"):
        raise UserError("nearer: No space left on device")


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^no such file: {tmp_path}/none$"):
        files.read_bytes(tmp_path / "none")
    with pytest.raises(UserError, match=rf"^cannot read {tmp_path}: Is a directory$"):
        files.read_bytes(tmp_path)
    with pytest.raises(UserError, match="not a name of a file"):
        files.read_bytes(f"{tmp_path}/a\0b")
    (tmp_path / "latin1").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match="latin1 is damaged: not text in UTF-8"):
        files.read_text(tmp_path / "latin1")
