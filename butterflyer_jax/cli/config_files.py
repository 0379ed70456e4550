"""Config files by path or name, and overrides from the command line."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from butterflyer_jax.config import BuildConfig, Config, describe
from butterflyer_jax.errors import UserError, close_match

# An option of build in an error, and its value: up to what errors say of options, or the end of a clause.
_FIELDS = "|".join(field.name for field in dataclasses.fields(BuildConfig))
_OPTION = re.compile(
    rf"(?<![\w./-])(?P<name>build\.(?:{_FIELDS}))\b(?:=(?P<value>(?:[^()]|\([^()]*\))+?)"
    r"(?=[:,]?\s(?:takes?|leaves?|chooses|keeps|makes|cannot|fits|is|or|and|the|both|split|no|there)\b"
    r"|[;:,]\s|\)|$))?"
)
PACKAGE = Path(__file__).parent.parent
# Short names, and those of other libraries, that are far from ours by their letters.
OTHER_NAMES = {
    "batch": "batch_size",
    "bs": "batch_size",
    "epoch": "num_epochs",
    "epochs": "num_epochs",
    "lr": "optim.learning_rate",
    "optimizer": "optim.name",
    "resolution": "data.image_size",
    "wd": "optim.weight_decay",
}


def config_help() -> str:
    """Returns a text table of every config field with its default and documentation, for `--help`."""
    rows = describe()
    width = max(len(f"{name} = {default}") for name, default, _ in rows if len(default) < 12)
    lines = [f"  {f'{name} = {default}':<{width}}  {doc}" for name, default, doc in rows]
    return "config fields, each set by --config.FIELD=VALUE:\n" + "\n".join(lines)


def config_folder() -> Path:
    """Returns the folder of the named configs: inside an installed package, beside the package in a checkout."""
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


def load_config(path: str | os.PathLike[str] | None, overrides: Sequence[str] = ()) -> Config:
    """Returns the validated config of a config file.

    Args:
      path: a Python file that defines `get_config() -> Config`, local or gs://, or the name of a config that comes
        with the package, such as "cpu"; None stands for the defaults of all fields.
      overrides: such as `"optim.learning_rate=0.1"`, parsed by the type of the field.

    Raises:
      UserError: no such file, an error in it, an unknown field, a value of a wrong type or out of range.
    """
    # Imported here to keep `--help` fast.
    from absl import flags
    from ml_collections import config_flags

    if isinstance(overrides, str | Mapping) or not all(isinstance(override, str) for override in overrides):
        raise UserError(f'overrides are a list such as ["num_epochs=3", "optim.name=adamw"], not {overrides!r}')
    path = find_config(path) if path else __file__
    if path.startswith("gs://"):
        from butterflyer_jax.storage import files

        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.rsplit("/", 1)[-1]
            files.copy(path, copy)
            return load_config(copy, overrides)
    names = [name for name, _, _ in describe()]
    for override in overrides:
        name, equals, value = override.partition("=")
        if name not in names:
            raise UserError(f"unknown config field {name}{_field_hint(name, in_file=False)}")
        if not value and (not equals or _kind(name) != "str"):
            raise UserError(f"config field {name} needs a value: --config.{name}=VALUE")

    # Config files written before 0.2 import `Sweep` from here.
    sys.modules.setdefault("butterflyer_jax.search", importlib.import_module("butterflyer_jax.config.search"))
    argv = ["", f"--config={path}", *(f"--config.{override}" for override in overrides)]
    # The module of the file that was read before: a file without get_config() would get that of it.
    sys.modules.pop("config_config", None)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(argv)
        config = values.config
    except flags.IllegalFlagValueError as error:
        message = str(error)
        if "Traceback" in message:
            raise UserError(_explain_config_error(path, message)) from error
        raise UserError(_explain_value(message, overrides)) from error
    except Exception as error:
        # The file is the user's code: any exception is reported with its message and line.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if isinstance(error, AttributeError) and reason.endswith("no attribute 'get_config'"):
            reason = "it defines no get_config()"
        raise UserError(f"cannot read config {path}: {reason}{_no_python(path)}") from error
    if not isinstance(config, Config):
        raise UserError(f"get_config() of {path} must return a butterflyer_jax.config.Config, not {config!r}")
    return config.validate()


def _no_python(path: str) -> str:
    """Returns the rest of the error of a config file that does not look like Python."""
    return (
        "" if path.endswith(".py") else "; a config is a Python file that defines get_config(), or a name such as cpu"
    )


def _explain_value(message: str, overrides: Sequence[str]) -> str:
    """Returns the error of a value that is not of its field's type: "flag --config.NAME=VALUE: REASON"."""
    name = message.strip().removeprefix("flag --config.").partition("=")[0]
    value = next(override for override in reversed(overrides) if override.startswith(f"{name}=")).partition("=")[2]
    return f"config field {name} = {value} must be of type {_kind(name)}"


def _explain_config_error(path: str, trace: str) -> str:
    """Returns the error of a config file and its line, taken from the text of a traceback."""
    lines = re.findall(rf'File "{re.escape(path)}", line (\d+)', trace)
    reason = trace.strip().splitlines()[-1]
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", reason):
        reason = f"unknown config field {unknown[1]}{_field_hint(unknown[1], in_file=True)}"
    return f"cannot read config {path}{f', line {lines[-1]}' if lines else ''}: {reason}"


def _field_hint(name: str, in_file: bool) -> str:
    fields = [field for field, _, _ in describe()]
    close = difflib.get_close_matches(name, [*fields, *map(_last, fields)], n=1)
    found = _named(name) or [field for field in fields if close and close[0] in (field, _last(field))]
    # In a file the section is the class around the field.
    shown = sorted({_last(field) for field in found}) if in_file else found
    return f"; did you mean {' or '.join(shown)}?" if shown else "; --help lists the fields"


def _named(name: str) -> list[str]:
    """Returns the fields that are meant by a name without its section, or with a wrong one, or by another name."""
    last = _last(name)
    return [OTHER_NAMES[last]] if last in OTHER_NAMES else [field for field, _, _ in describe() if _last(field) == last]


def _last(field: str) -> str:
    return field.rpartition(".")[2]


def _kind(field: str) -> str:
    """Returns the name of a field's type."""
    return type(functools.reduce(getattr, field.split("."), Config())).__name__


def split_overrides(arguments: Sequence[str]) -> list[str]:
    """Returns `["optim.learning_rate=0.1"]` of the leftover arguments `["--config.optim.learning_rate=0.1"]`.

    Raises:
      UserError: an argument is not an override.
    """
    overrides = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--config."):
            name, equals, value = argument.removeprefix("--").partition("=")
            meant = " or ".join(f"--config.{field}{equals}{value}" for field in _named(name.replace("-", "_")))
            hint = f"; did you mean {meant}?" if meant else " (see --help)"
            raise UserError(f"unknown argument: {argument}{hint}")
        override = argument.removeprefix("--config.")
        if "=" not in override and rest and not rest[0].startswith("--"):
            override += "=" + rest.pop(0)
        overrides.append(override)
    return overrides


def build_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Returns `{"label_column": "species"}` of `["build.label_column=species"]`, for photos beside those of a run.

    Raises:
      UserError: a field of another section, an unknown one, or a value of a wrong type or out of range.
    """
    if not overrides:
        return {}
    if other := next((override for override in overrides if not override.startswith("build.")), None):
        raise UserError(f"--config.{other}: the run has its config, only fields of build can be given")
    build = load_config(None, overrides).build
    names = [override.partition("=")[0].removeprefix("build.") for override in overrides]
    return {name: getattr(build, name) for name in names}


def with_flags(message: str) -> str:
    """Returns an error with its options of build as they are typed: build.ignore=a b as --config.build.ignore='a b'.

    A function or `tfds build` takes the options by the names that errors have otherwise.
    """

    def typed(found: re.Match[str]) -> str:
        value = f"={shlex.quote(found['value'])}" if found["value"] else ""
        return f"--config.{found['name']}{value}"

    return _OPTION.sub(typed, message)


def get_config() -> Config:
    """Returns the defaults of all fields: this module serves as the config file where none is given."""
    return Config()
