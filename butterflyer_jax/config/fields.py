"""Fields of a config: default, meaning, unit, and the allowed values, which are checked here."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from butterflyer_jax.errors import UserError, close_match

T = TypeVar("T")

POSITIVE = (1, 2**31)
SHARE = (0.0, 1.0)
# From here on a largest value is a bound against nonsense, which documentation and errors leave out.
_HUGE = 1e9


def option(default: T, doc: str, *, within: tuple[float, float] | None = None, one_of: tuple[str, ...] = ()) -> T:
    """Returns a dataclass field.

    Args:
      default: default value.
      doc: meaning and unit; `--help` prints it with the range.
      within: smallest and largest value of a number.
      one_of: allowed values of a text; empty for any.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "within": within, "one_of": one_of})


class Section:
    """Fields of a config; setting one that does not exist raises."""

    def __init_subclass__(cls) -> None:
        """Adds the meaning of each field to the docstring, for `help`."""
        fields = [(name, item) for name, item in vars(cls).items() if isinstance(item, dataclasses.Field)]
        meanings = [
            f"{name}: {documentation(item) if item.metadata else f'a section, see `help(bj.Config().{name})`'}"
            for name, item in fields
        ]
        cls.__doc__ = "\n  ".join([f"{cls.__doc__}\n\nAttributes:", *meanings])

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a field.

        Raises:
          UserError: there is no such field.
        """
        known = type(self).__dataclass_fields__  # type: ignore[attr-defined]
        if name not in known:
            raise UserError(f"unknown config field {name}{close_match(name, known)}")
        super().__setattr__(name, value)


def choices(section: type[Section], name: str) -> tuple[str, ...]:
    """Returns the allowed values of a text field."""
    return section.__dataclass_fields__[name].metadata["one_of"]  # type: ignore[attr-defined]


def documentation(field: dataclasses.Field[Any]) -> str:
    """Returns meaning, unit and range of a field."""
    doc: str = field.metadata["doc"]
    if not field.metadata["within"]:
        return doc
    return f"{doc} [{_range(*field.metadata['within'])}]"


def _range(low: float, high: float) -> str:
    """Returns a range in words."""
    return f"{low:g} or more" if high >= _HUGE else f"{low:g} to {high:,.10g}"


def problem(field: dataclasses.Field[Any], value: Any) -> str:
    """Returns what is wrong with a value, as the end of a sentence; "" where nothing is."""
    if isinstance(value, str) and not value.isprintable():
        return "has letters that cannot be printed"
    kind: Any = field.type
    if not _has_type(value, kind):
        return f"must be of type {kind.__name__ if kind in (bool, str, int, float) else kind}"
    if field.metadata["within"]:
        low, high = field.metadata["within"]
        if not low <= value <= high:
            return f"must be at most {high:,.10g}" if value > high >= _HUGE else f"must be {_range(low, high)}"
    choices = field.metadata["one_of"]
    if choices and value not in choices:
        return f"must be one of {', '.join(choices)}"
    return ""


def _has_type(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (bool, str):
        return isinstance(value, kind)
    # An RGB triple.
    return isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, (int, float)) for v in value)
