"""Errors that a user can mend, and the exit codes that commands end with for them."""


class UserError(ValueError):
    """Something the user can mend; a command prints the message as one line and exits with `exit_code`."""

    exit_code = 2


class TemporaryError(UserError):
    """Something that the same command may not meet again: a scheduler may restart it (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75
