"""Standard streams that outlive their reader: a closed terminal, a pipe whose reader has exited."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys

STDIN, STDOUT, STDERR = 0, 1, 2


class _Lasting(io.TextIOWrapper):
    """A text stream on a descriptor; once its reader is gone, further text is discarded.

    The layers below, written in C, are kept: in Python code a signal's exception could come between a write and its
    count, and the text would be written twice.

    Attributes:
      is_lost: whether the reader is gone.
    """

    is_lost = False

    def __init__(self, stream: io.TextIOWrapper, descriptor: int, tolerant: bool) -> None:
        """Takes the stream to replace, its descriptor, and whether any text that cannot be written may be dropped."""
        super().__init__(
            io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        # Also true for a terminal that is closed already, for which `isatty` is false.
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
            # This also covers native code and child processes.
            discard(self.fileno())
            super().flush()
        elif not self._tolerant:
            raise error


def outlive_readers() -> None:
    """Makes stdout and stderr discard text once their reader is gone, instead of raising an error.

    Most commands write their results to files: closing the terminal or the pager must not stop them. A stream that
    was closed from the start is opened on the null device; otherwise the next opened file would get its descriptor.
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
    """Returns whether stdout has lost its reader: a command whose only result is stdout may end."""
    return isinstance(sys.stdout, _Lasting) and sys.stdout.is_lost


def discard(descriptor: int) -> None:
    """Redirects a descriptor to the null device."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
