"""Modules that are called as the function of their name: `bj.train(...)` for `bj.train.train(...)`.

`butterflyer_jax.train` is a command, so a module, and Python puts a module in the place of any other name once it is
imported. This way both work, whatever was imported before.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class CallableModule(types.ModuleType):
    """A module with a function of its own name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls that function."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Makes a module callable; as a command it is none."""
    if name != "__main__":
        sys.modules[name].__class__ = CallableModule
