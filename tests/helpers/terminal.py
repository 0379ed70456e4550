"""A command on a terminal, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")
CONTROL_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class Seen:
    """What a command wrote to its terminal, as it came, and without what moves the cursor or colours."""

    returncode: int
    raw: str

    @property
    def text(self) -> str:
        return ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return [line for part in self.text.split("\n") for line in part.split("\r")]


def on_terminal(
    *arguments: object, columns: int = 120, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Seen:
    """Runs `python <arguments>` with a terminal of its own as stdin, stdout and stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    environment.pop("NO_COLOR", None)
    environment.pop("COLUMNS", None)
    # A terminal that controls the process can also be asked for a key past stdin.
    line = [sys.executable, "-c", CONTROL_TERMINAL, sys.executable, *map(str, arguments)]
    with subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            # Linux says so when the last of the other side is closed.
            pass
    os.close(ours)
    return Seen(process.returncode, b"".join(parts).decode())
