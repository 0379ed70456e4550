"""The comparison page: runs on the same photos, in all and by species, as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from butterflyer_jax.report.page import make_environment

# Among the first bytes of each page.
MARK = b"<title>Comparison: "
# Adjusted p-value below which a difference is marked.
CLEAR = 0.05


def render_comparison(result: Mapping[str, Any]) -> str:
    """Returns the page; `result` is what `evaluation.comparison.compare` returns."""
    return make_environment().get_template("comparison.html.j2").render(of=result, clear=CLEAR)
