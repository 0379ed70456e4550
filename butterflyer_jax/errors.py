"""Errors that a user can mend, the exit codes that commands end with for them, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can mend; a command prints the message as one line and exits with `exit_code`."""

    exit_code = 2


class TemporaryError(UserError):
    """Something that the same command may not meet again: a scheduler may restart it (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


def close_match(word: str, words: Iterable[str]) -> str:
    """Returns "; did you mean WORD?", or nothing where no word is close."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""
