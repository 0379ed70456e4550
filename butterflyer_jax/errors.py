"""The one error that is the user's to mend."""


class UserError(ValueError):
    """Something the user can mend; a command prints the message as one line and exits with code 2."""
