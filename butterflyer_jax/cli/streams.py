"""Standard streams that outlive their reader: a terminal that is closed, a pipe whose other end has left."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2


class _Lasting(io.FileIO):
    """Writes to a descriptor; once nobody reads there, what is written goes nowhere.

    Attributes:
      is_lost: whether nobody reads any more.
    """

    def __init__(self, descriptor: int, tolerant: bool) -> None:
        """Takes the descriptor, and whether what cannot be written for another reason may be lost too."""
        super().__init__(descriptor, "w", closefd=False)
        # Also of a terminal that is closed already, which is none any more.
        self._of_terminal = stat.S_ISCHR(os.fstat(descriptor).st_mode)
        self._tolerant = tolerant
        self.is_lost = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # EIO: the terminal of a command that ignores SIGHUP, as with nohup, is closed.
            if isinstance(error, BrokenPipeError) or (self._of_terminal and error.errno == errno.EIO):
                self.is_lost = True
                # Of this process's native code, and of those that it starts, too.
                discard(self.fileno())
            elif not self._tolerant:
                raise
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """Makes stdout and stderr lose what is written once nobody reads it, in place of an error.

    The work of most commands is in files: whoever closes the terminal or ends the pager must not end it. A stream that
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
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout, STDOUT)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, STDERR)


def _lasting(stream: Any, descriptor: int) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    with contextlib.suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(descriptor, tolerant=descriptor == STDERR)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def stdout_is_lost() -> bool:
    """Returns whether nobody reads stdout any more: a command whose result is stdout alone may end."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _Lasting) and raw.is_lost


def discard(descriptor: int) -> None:
    """Leads a descriptor to nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
