"""Checks of the shapes and dtypes that stand in signatures, at each call of a function under test."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import jax
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

PACKAGE = Path(__file__).parent.parent.parent / "butterflyer_jax"


def modules() -> list[str]:
    """Returns the modules whose signatures state shapes, in all rooms."""
    files = [path for path in PACKAGE.rglob("*.py") if "\nfrom jaxtyping import " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]


def install() -> None:
    """Checks the functions of these modules, which must not be imported yet."""
    install_import_hook(modules(), "tests.helpers.shape_checks.check")


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that checks its arrays; mypy has checked all other types."""
    hints = {name: hint for name, hint in function.__annotations__.items() if _has_shape(hint)}
    if not hints:
        return function
    function.__annotations__ = {name: _of_any_library(hint) for name, hint in hints.items()}
    checked: Callable[..., Any] = beartype(function)
    return checked


def _has_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, get_args(hint)))


def _of_any_library(hint: Any) -> Any:
    """Returns a hint whose arrays of JAX may be NumPy's too, which JAX takes for its own."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return hint.dtype[jax.typing.ArrayLike, hint.dim_str] if hint.array_type is jax.Array else hint
    origin, arguments = get_origin(hint), tuple(map(_of_any_library, get_args(hint)))
    if not arguments:
        return hint
    return Union[arguments] if origin in (Union, types.UnionType) else origin[arguments]  # noqa: UP007
