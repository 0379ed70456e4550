"""Checks of the shapes and dtypes that stand in signatures, at each call of a function under test."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

import jax
from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

ROOMS = ("metrics", "preprocessing", "report")


def install() -> None:
    """Checks the packages of `ROOMS`, which must not be imported yet."""
    install_import_hook([f"butterflyer_jax.{room}" for room in ROOMS], "tests.helpers.shape_checks.check")


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
