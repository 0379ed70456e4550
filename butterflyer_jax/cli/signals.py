"""Signal handling (SIGTERM, SIGHUP, Ctrl-C): a command cleans up and ends with one line."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import types
from typing import NoReturn

INTERRUPTED = 130
# Longest clean-up of a command after SIGTERM or SIGHUP, seconds.
GRACE_SECONDS = 5.0


class StoppedError(SystemExit):
    """The command was stopped by SIGTERM or SIGHUP."""

    code: int


_is_ending = threading.Event()


def leave(exit_code: int) -> NoReturn:
    """Ends the process after clean-up, as a signal requested.

    It skips the interpreter's own shutdown, in which threads that still compile or decode sometimes crash.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(exit_code)


def write_line(line: str) -> None:
    """Writes a line to stderr; safe in a signal handler that interrupted a print."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


def end_on_signals() -> None:
    """Makes SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU raise an exception, so that temporary files are removed.

    Python runs a handler only after native code returns, and XLA may compile for a minute: a thread ends the process
    where the exception, or that of Ctrl-C, does not within `GRACE_SECONDS`. A second Ctrl-C ends it at once. Training
    sets handlers of its own while it can save; where a handler has a method `at_once`, the thread calls it at Ctrl-C.
    """

    has_said = threading.Lock()

    def end(number: int, _: types.FrameType | None) -> None:
        if _is_ending.is_set():
            return
        _is_ending.set()
        if has_said.acquire(blocking=False):
            write_line(f"stopped by {signal.Signals(number).name}")
        raise StoppedError(128 + number)

    def end_now(code: int, line: str) -> None:
        if line:
            write_line(line)
        os._exit(code)

    def end_later(code: int, line: str = "") -> None:
        timer = threading.Timer(GRACE_SECONDS, end_now, [code, line])
        timer.daemon = True
        timer.start()

    def watch(reader: socket.socket, _: socket.socket) -> None:
        interrupts = 0
        while data := reader.recv(1):
            number, handler = data[0], signal.getsignal(data[0])
            if number == signal.SIGINT:
                interrupts += 1
                if interrupts > 1:
                    # Safe at any point: every file on the disk under its final name is complete.
                    end_now(INTERRUPTED, "interrupted")
                if handler is signal.default_int_handler:
                    end_later(INTERRUPTED, "interrupted")
                elif at_once := getattr(handler, "at_once", None):
                    at_once()
            elif handler is end:
                if not _is_ending.wait(0.1):
                    # Another thread received the signal while the main thread sleeps or computes.
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
                end_later(128 + number)

    if threading.current_thread() is not threading.main_thread():
        return
    # Batch systems announce the end of a job's time limit by the last two.
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU"):
        number = getattr(signal, name, None)
        # Under nohup, SIGHUP stays ignored.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # The thread keeps references to both sockets: garbage collection would close them.
    threading.Thread(target=watch, args=(reader, writer), daemon=True, name="butterflyer-signals").start()


def swallowed(error: BaseException | None) -> bool:
    """Returns whether a callback's error, which Python swallows, is a signal's exception; the command then ends."""
    if isinstance(error, StoppedError):
        # The signal is sent again a moment later, outside the callback.
        _is_ending.clear()
        again = threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident or 0, error.code - 128])
        again.daemon = True
        again.start()
    # The thread of `end_on_signals` ends the command after Ctrl-C.
    return isinstance(error, StoppedError | KeyboardInterrupt)
