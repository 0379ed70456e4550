"""How well photos of other species are refused, in words: by photos whose own species is left out of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from butterflyer_jax.report.findings import counted, share

# Share of photos that are refused below which other species count as not recognised: most of them pass.
WEAK = 0.5
ADVICE = "Check names by eye, or train the species that may occur too"


def is_weak(found: Mapping[str, Any]) -> bool:
    """Returns whether most photos pass; `found` has count, more than 0, and refused."""
    return bool(found["refused"] < WEAK * found["count"])


def measured(found: Mapping[str, Any]) -> str:
    """Returns how many photos were refused as of another species, without a full stop.

    Args:
      found: result of `evaluation.refusal.left_out`.
    """
    photos = counted(found["count"], f"{found['split']} photo", f"{found['split']} photos")
    return (
        f"Of {photos} whose own species was left out of the answers, {found['refused']:,} "
        f"({share(found['refused'], found['count'])}) were refused. Of species that it never saw, a run may refuse "
        "fewer"
    )


def verdict(found: Mapping[str, Any]) -> str:
    """Returns one line for the console: whether photos of other species are refused, and how that was measured."""
    if is_weak(found):
        return f"other species: mostly not refused. {measured(found)}. {ADVICE}"
    return f"other species: {measured(found)}"
