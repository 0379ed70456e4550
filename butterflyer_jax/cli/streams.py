"""Standard streams that outlive their reader: a terminal that is closed, a pipe whose other end has left."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys

STDIN, STDOUT, STDERR = 0, 1, 2


class _Lasting(io.TextIOWrapper):
    """Text to a descriptor; once nobody reads there, what is written goes nowhere.

    Of the layers below, which are C, none is replaced: a signal's exception would come between a write and its count,
    and the text would be written twice.

    Attributes:
      is_lost: whether nobody reads any more.
    """

    is_lost = False

    def __init__(self, stream: io.TextIOWrapper, descriptor: int, tolerant: bool) -> None:
        """Takes the stream to replace, its descriptor, and whether what cannot be written may be lost in any case."""
        super().__init__(
            io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        # Also a terminal that is closed already, which `isatty` denies.
        self._of_terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)
        self._tolerant = tolerant

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        # EIO: the terminal of a command that ignores SIGHUP, as with nohup, is closed.
        if isinstance(error, BrokenPipeError) or (self._of_terminal and error.errno == errno.EIO):
            self.is_lost = True
            # For this process's native code, and for those that it starts, too.
            discard(self.fileno())
            super().flush()
        elif not self._tolerant:
            raise error


def outlive_readers() -> None:
    """Makes stdout and stderr lose what is written once nobody reads it, in place of an error.

    The work of most commands is in files: closing the terminal or ending the pager must not end it. A stream that
    was closed from the start becomes an empty one, or the next file that is opened would take its place.
    """
    for descriptor, mode in ((STDIN, "r"), (STDOUT, "w"), (STDERR, "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            discard(descriptor)
            name = ("stdin", "stdout", "stderr")[descriptor]
            if getattr(sys, name) is None:
                stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
    for name, descriptor in (("stdout", STDOUT), ("stderr", STDERR)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            with contextlib.suppress(OSError):
                stream.flush()
            setattr(sys, name, _Lasting(stream, descriptor, tolerant=descriptor == STDERR))


def stdout_is_lost() -> bool:
    """Returns whether nobody reads stdout any more: a command whose result is stdout alone may end."""
    return isinstance(sys.stdout, _Lasting) and sys.stdout.is_lost


def discard(descriptor: int) -> None:
    """Leads a descriptor to nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
