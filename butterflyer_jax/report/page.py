"""Templates and number formats shared by the pages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from butterflyer_jax.config import BuildConfig, Config, describe
from butterflyer_jax.report import findings

if TYPE_CHECKING:
    import jinja2


@functools.cache
def make_environment() -> jinja2.Environment:
    """Returns the template environment, which escapes all values; the same one each time, with what it compiled."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("butterflyer_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "counted": findings.counted,
        "megabytes": _megabytes,
        "percent": _percent,
        "points": points,
        "p_value": p_value,
    }
    return environment


def settings(values: Mapping[str, Any], config: type[Config | BuildConfig]) -> list[tuple[str, Any, str]]:
    """Returns (field, value, meaning) of the values of a config of this class, with its sections flattened."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= {f"{name}.{inner}": of for inner, of in value.items()} if isinstance(value, dict) else {name: value}
    meanings = {name: meaning for name, _, meaning in describe(config)}
    return [(name, value, meanings.get(name, "")) for name, value in flat.items()]


def points(value: float) -> str:
    """Returns a difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def p_value(value: float) -> str:
    """Returns a p-value with three decimals."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: Any) -> str:
    """Returns an integer with thousands separators, and any other value unchanged."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _megabytes(num_bytes: int) -> str:
    if num_bytes >= 10**9:
        return f"{num_bytes / 1e9:,.1f} GB"
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes < 10**7 else f"{num_bytes / 1e6:.0f} MB"
