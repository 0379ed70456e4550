"""What all commands share: one-line errors with exit codes, quiet libraries, and a strict argument parser."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import difflib
import gc
import importlib
import inspect
import itertools
import logging
import math
import os
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from butterflyer_jax.cli import config_files, signals, streams
from butterflyer_jax.cli.help_formatter import HelpFormatter
from butterflyer_jax.errors import UserError

# Objects that are made before the youngest are looked through; 700 by default.
GARBAGE_THRESHOLD = 10_000


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command's `main(argv)`; a UserError becomes one line on stderr and its exit code."""
    streams.outlive_readers()
    _collect_less()
    _quieten_libraries()
    signals.end_on_signals()
    try:
        try:
            main(sys.argv[1:])
        except BaseException:
            with contextlib.suppress(OSError):
                _flush_stdout()
            raise
        _flush_stdout()
    except UserError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        # A full disk or a missing permission: the user can fix it, and the operating system's message says how.
        where = error.filename or "while writing; run the same command again after fixing this: it resumes"
        _fail(f"{error.strerror or error}: {where}")
    except KeyboardInterrupt:
        signals.write_line("interrupted")
        signals.leave(signals.INTERRUPTED)
    except signals.StoppedError as error:
        signals.leave(error.code)


def _collect_less() -> None:
    """Has the garbage collector look through the libraries' objects less often, and not at all at the end.

    Importing JAX and Orbax costs a fifth less processor time, and the end of a command 0.1 instead of 0.4 s.
    """
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)
    # Functions registered first run last.
    atexit.register(gc.freeze)


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Otherwise the interpreter flushes again at exit, and replaces the exit code.
        streams.discard(streams.STDOUT)
        raise


def _quieten_libraries() -> None:
    """Silences the libraries on stderr; every error that matters reaches `run` as an exception."""
    _quieten_pillow()
    # Read by TensorFlow and XLA when they are first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow imports Keras at startup, 5 seconds of its 14, unless this selects the legacy Keras.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # When a disk is full, Orbax raises one error and also logs a traceback per array.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    default = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if signals.swallowed(unraisable.exc_value):
            return
        # TensorStore's threads log this after a failed save, when their event loop is closed.
        if str(unraisable.exc_value) != "Event loop is closed":
            default(unraisable)

    sys.unraisablehook = hook


def _quieten_pillow() -> None:
    # Pillow warns about every damaged header; whether a photo is usable is decided and reported elsewhere.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _fail(message: str, exit_code: int = UserError.exit_code) -> NoReturn:
    print(f"error: {' '.join(config_files.with_flags(message).split())}", file=sys.stderr)
    sys.exit(exit_code)


def install_excepthook() -> None:
    """Prints an uncaught `UserError` as one line on stderr where another program's `main` calls this package."""
    _quieten_pillow()
    default = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: object) -> None:
        if isinstance(error, UserError):
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        elif isinstance(error, OSError) and error.strerror:
            print(f"error: {error.strerror}: {error.filename}", file=sys.stderr)
        else:
            default(kind, error, trace)  # type: ignore[arg-type]

    sys.excepthook = hook


class Command(Protocol):
    """The module of a subcommand."""

    def parser(self) -> ArgumentParser:
        """Returns the parser of the command's flags."""

    def main(self, argv: Sequence[str]) -> None:
        """Runs the command."""


class ArgumentParser(argparse.ArgumentParser):
    """The commands' argparse parser: no abbreviated flags, and errors in one line."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=HelpFormatter,
            **kwargs,  # type: ignore[arg-type]
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; a flag that is close to one of the command's is an error that names it."""
        arguments = list(sys.argv[1:] if args is None else args)
        for argument in itertools.takewhile(lambda argument: argument != "--", arguments):
            flag = argument.partition("=")[0]
            if not flag.startswith("--") or flag in self._option_string_actions or flag.startswith("--config."):
                continue
            if close := difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.8):
                raise UserError(f"unknown argument: {flag}; did you mean {close[0]}?")
        return super().parse_known_args(arguments, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises a UserError, which `run` prints as one line."""
        raise UserError(f"{message.replace('unrecognized arguments', 'unknown argument')} (see --help)")


def number(text: str) -> float:
    """Returns the value of a flag that is a finite number.

    Raises:
      ValueError: it is none, or "nan" or "inf"; the parser names the flag.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


class CallableModule(types.ModuleType):
    """A module that can be called like the function of its own name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls that function."""
        return self._function(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of that function, for notebooks and editors."""
        return inspect.signature(self._function)

    @property
    def _function(self) -> Callable[..., Any]:
        return getattr(self, self.__name__.rpartition(".")[2])


def make_callable(name: str) -> None:
    """Makes a module callable, unless it runs as a command."""
    if name != "__main__":
        sys.modules[name].__class__ = CallableModule


def late_function(name: str, home: str) -> Callable[[str], Any]:
    """Returns a module `__getattr__` for a command whose function is defined in another module.

    That module is imported on first access, so that `--help` is fast.

    Args:
      name: name of the function, equal to the name of the command.
      home: module that defines it.
    """

    def attribute(wanted: str) -> Any:
        if wanted == name:
            return getattr(importlib.import_module(home), name)
        raise AttributeError(f"module 'butterflyer_jax.{name}' has no attribute {wanted!r}")

    return attribute
