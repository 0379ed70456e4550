"""What the commands share: config files with overrides, and errors as one line with an exit code."""

from butterflyer_jax.cli.command import (
    ArgumentParser,
    Command,
    install_excepthook,
    late_function,
    make_callable,
    number,
    run,
)
from butterflyer_jax.cli.config_files import (
    build_options,
    config_folder,
    config_help,
    config_names,
    find_config,
    load_config,
    split_overrides,
)
from butterflyer_jax.cli.streams import stdout_is_lost

__all__ = [
    "ArgumentParser",
    "Command",
    "build_options",
    "config_folder",
    "config_help",
    "config_names",
    "find_config",
    "install_excepthook",
    "late_function",
    "load_config",
    "make_callable",
    "number",
    "run",
    "split_overrides",
    "stdout_is_lost",
]
