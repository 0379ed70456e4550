"""The packages of the `app` extra that the chat needs, imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from butterflyer_jax.config import UserError


def load(module: str) -> Any:
    """Returns the module of that name.

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the chat needs {module.partition('.')[0]}; install it with: pip install 'butterflyer-jax[app]'"
        ) from error
