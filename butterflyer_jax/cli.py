"""What the commands share: config files with overrides, and errors as one line with an exit code."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import difflib
import importlib
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from butterflyer_jax.config import Config, describe
from butterflyer_jax.errors import UserError

PACKAGE = Path(__file__).parent
INTERRUPTED = 130
# What a command may take to clean up after SIGTERM or SIGHUP, seconds.
GRACE_SECONDS = 5.0


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command's `main(argv)`; a UserError becomes one line on stderr and its exit code."""
    _quieten_libraries()
    _end_on_signals()
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output left (`predict … | head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # A full disk, a missing permission: the user's to mend, and the operating system says it best.
        where = error.filename or "while writing; the same command resumes when that is mended"
        _fail(f"{error.strerror or error}: {where}")
    except KeyboardInterrupt:
        _write_line("interrupted")
        _leave(INTERRUPTED)
    except _StoppedError as error:
        _leave(error.code)


class _StoppedError(SystemExit):
    """SIGTERM or SIGHUP."""

    code: int


_is_ending = threading.Event()


def _leave(exit_code: int) -> NoReturn:
    """Ends the process after all has been cleaned up, as a signal asked.

    Not by the interpreter's own end, in which threads that still compile or decode crash now and then.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(exit_code)


def _write_line(line: str) -> None:
    """Writes to stderr, also from a signal's handler that came within a print."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())


def _end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end the command as an exception does, so that temporary files are removed.

    A handler of Python waits for native code, and XLA may compile for a minute: a thread ends the process where the
    exception, or that of Ctrl-C, does not within `GRACE_SECONDS`. A second Ctrl-C ends it at once. Training sets
    handlers of its own while it can save; where a handler has a method `at_once`, the thread calls it at Ctrl-C.
    """

    has_said = threading.Lock()

    def end(number: int, _: types.FrameType | None) -> None:
        if _is_ending.is_set():
            return
        _is_ending.set()
        if has_said.acquire(blocking=False):
            _write_line(f"stopped by {signal.Signals(number).name}")
        raise _StoppedError(128 + number)

    def end_now(code: int, line: str) -> None:
        if line:
            _write_line(line)
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
                    # Safe at any point: what is on the disk under its name is whole.
                    end_now(INTERRUPTED, "interrupted")
                if handler is signal.default_int_handler:
                    end_later(INTERRUPTED, "interrupted")
                elif at_once := getattr(handler, "at_once", None):
                    at_once()
            elif handler is end:
                if not _is_ending.wait(0.1):
                    # Another thread got the signal, and the main thread sleeps or computes on.
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
                end_later(128 + number)

    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup has SIGHUP ignored.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # The thread keeps both ends: a socket that is collected is closed.
    threading.Thread(target=watch, args=(reader, writer), daemon=True, name="butterflyer-signals").start()


def _quieten_libraries() -> None:
    """Leaves stderr to our own lines; every error that matters reaches `run` as an exception."""
    _quieten_pillow()
    # Read by TensorFlow and XLA when they are first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow imports Keras as it starts, for 5 seconds of its 14, unless this says that Keras is the old one.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # When a disk is full, Orbax raises one error and logs a traceback an array beside it.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    default = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, _StoppedError):
            # The signal came within a callback, where Python lets no exception pass: again a moment later.
            _is_ending.clear()
            main, number = threading.main_thread().ident or 0, unraisable.exc_value.code - 128
            again = threading.Timer(0.1, signal.pthread_kill, [main, number])
            again.daemon = True
            again.start()
            return
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            # The thread of `_end_on_signals` ends the command.
            return
        # TensorStore's threads, whose listener is gone after a failed save.
        if str(unraisable.exc_value) != "Event loop is closed":
            default(unraisable)

    sys.unraisablehook = hook


def _quieten_pillow() -> None:
    # It warns of every damaged header; whether a photograph can be used is decided, and said, elsewhere.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _fail(message: str, exit_code: int = UserError.exit_code) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(exit_code)


class Command(Protocol):
    """The module of a subcommand."""

    def parser(self) -> ArgumentParser:
        """Returns the parser of the command's flags."""

    def main(self, argv: Sequence[str]) -> None:
        """Runs the command."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse in the commands' own manner: no abbreviations, and an error is one line."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        """Raises what `run` prints as one line."""
        raise UserError(f"{message} (see --help)")


def config_help() -> str:
    """Returns a table of every config field with its default and documentation, for `--help`."""
    rows = describe()
    width = max(len(f"{name} = {default}") for name, default, _ in rows if len(default) < 12)
    lines = [f"  {f'{name} = {default}':<{width}}  {doc}" for name, default, doc in rows]
    return "config fields, each set by --config.FIELD=VALUE:\n" + "\n".join(lines)


def config_folder() -> Path:
    """Returns the folder of the named configs: in the package where it was installed, beside it in a checkout."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def config_names() -> list[str]:
    """Returns the names of the configs that come with the package: "cpu", "vgg16" and so on."""
    return sorted(path.stem for path in config_folder().glob("*.py") if not path.stem.startswith("_"))


def find_config(name: str | os.PathLike[str]) -> str:
    """Returns the path of a config file.

    Args:
      name: a path, local or gs://, or the name of a config that comes with the package, such as "cpu".

    Raises:
      UserError: no such file, and no such name.
    """
    name = os.fspath(name)
    if name.startswith("gs://") or Path(name).is_file():
        return name
    names = config_names()
    if name in names:
        return os.fspath(config_folder() / f"{name}.py")
    stem = Path(name).stem
    if stem in names:
        hint = f"; the config of that name that comes with the package is --config {stem}"
    else:
        hint = f"{close_match(name, names)}; configs by name: {', '.join(names)}"
    raise UserError(f"no such config file: {name}{hint}")


def close_match(word: str, words: Iterable[str]) -> str:
    """Returns "; did you mean WORD?", or nothing where no word is close."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Config:
    """Returns the validated config of a config file.

    Args:
      path: a Python file that defines `get_config() -> Config`, local or gs://, or the name of a config that comes
        with the package, such as "cpu"; None stands for the defaults of all fields.
      overrides: such as `"optim.learning_rate=0.1"`, parsed by the type of the field.

    Raises:
      UserError: no such file, an error in it, an unknown field, a value of a wrong type or out of range.
    """
    # Imported here: it takes a moment that `--help` need not spend.
    from absl import flags
    from ml_collections import config_flags

    path = find_config(path) if path else __file__
    if path.startswith("gs://"):
        from butterflyer_jax.storage import files

        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.rsplit("/", 1)[-1]
            files.copy(path, copy)
            return load_config(copy, overrides)
    names = [name for name, _, _ in describe()]
    for override in overrides:
        name, equals, _ = override.partition("=")
        if name not in names:
            raise UserError(f"unknown config field {name}{_field_hint(name)}")
        if not equals:
            raise UserError(f"config field {name} needs a value: --config.{name}=VALUE")

    # Where config files written before 0.2 import `Sweep` from.
    sys.modules.setdefault("butterflyer_jax.search", importlib.import_module("butterflyer_jax.config.search"))
    argv = ["", f"--config={path}", *(f"--config.{override}" for override in overrides)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(argv)
        config = values.config
    except flags.IllegalFlagValueError as error:
        message = str(error)
        if "Traceback" in message:
            raise UserError(_explain_config_error(path, message)) from error
        raise UserError(message.replace("flag --config.", "config field ").strip()) from error
    except Exception as error:
        # The file is the user's program: whatever it raises, say what and where.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot read config {path}: {reason[-1]}") from error
    if not isinstance(config, Config):
        raise UserError(f"get_config() of {path} must return a butterflyer_jax.config.Config, not {config!r}")
    return config.validate()


def _explain_config_error(path: str, trace: str) -> str:
    """Returns what went wrong in a config file, with the line, from the text of a traceback."""
    lines = re.findall(rf'File "{re.escape(path)}", line (\d+)', trace)
    reason = trace.strip().splitlines()[-1]
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", reason):
        reason = f"unknown config field {unknown[1]}{_field_hint(unknown[1])}"
    return f"cannot read config {path}{f', line {lines[-1]}' if lines else ''}: {reason}"


def _field_hint(name: str) -> str:
    names = [field for field, _, _ in describe()]
    by_last = {field.rpartition(".")[2]: field for field in names}
    close = difflib.get_close_matches(name, [*names, *by_last], n=1)
    return f"; did you mean {close[0]}?" if close else "; --help lists the fields"


def split_overrides(arguments: Sequence[str]) -> list[str]:
    """Returns `["optim.learning_rate=0.1"]` of the leftover arguments `["--config.optim.learning_rate=0.1"]`.

    Raises:
      UserError: an argument is no override.
    """
    overrides = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--config."):
            raise UserError(f"unrecognised argument: {argument} (see --help)")
        override = argument.removeprefix("--config.")
        if "=" not in override and rest and not rest[0].startswith("--"):
            override += "=" + rest.pop(0)
        overrides.append(override)
    return overrides


def install_excepthook() -> None:
    """Makes a `UserError` that nobody catches one line on stderr, where another program's `main` calls us."""
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


class CallableModule(types.ModuleType):
    """A module with a function of its own name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls that function."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Makes a module callable; as a command it is none."""
    if name != "__main__":
        sys.modules[name].__class__ = CallableModule


def get_config() -> Config:
    """Returns the defaults of all fields: this file is the config file where none is given."""
    return Config()
