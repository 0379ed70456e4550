"""SVG charts that take their colours from the page, and the charts of a data card."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from butterflyer_jax.report.findings import count_enlarged, counted
from butterflyer_jax.report.pictures import CardPhoto, evenly

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

MAX_POINTS = 1500
# Placeholders for the page's colours, which differ between light and dark mode.
INK, BARS, GRID = "#010203", "#010204", "#010205"
TRAIN, VAL, TEST = "#010206", "#010207", "#010208"
PAGE_COLOURS = {
    INK: "currentColor",
    BARS: "var(--bars)",
    GRID: "var(--line)",
    TRAIN: "var(--train)",
    VAL: "var(--val)",
    TEST: "var(--test)",
}


@dataclass(frozen=True)
class Chart:
    """A chart: its SVG holds no text of the data's own, so it goes into the page unescaped."""

    title: str
    caption: str
    svg: str


def draw_charts(photos: Sequence[CardPhoto], image_size: int) -> list[Chart]:
    """Returns the charts of the original sizes, the shapes and the brightness."""
    import numpy as np

    widths = np.array([photo.source_width for photo in photos], float)
    heights = np.array([photo.source_height for photo in photos], float)
    brightness = np.array([photo.brightness for photo in photos], float)
    enlarged = count_enlarged(photos, image_size)
    sides = np.minimum(widths, heights)
    landscape, portrait = int((widths > heights).sum()), int((widths < heights).sum())
    size_caption = f"The short side has {sides.min():,.0f} to {sides.max():,.0f} pixels, {np.median(sides):,.0f} in "
    size_caption += f"the median; {image_size} (dashed) are stored."
    if enlarged:
        size_caption += f" {counted(enlarged, 'photo was', 'photos were')} enlarged."
    if len(photos) > MAX_POINTS:
        size_caption += f" {MAX_POINTS:,} photos are drawn."
    return [
        Chart(
            "Original size", size_caption, draw_svg("size", lambda axes: _draw_sizes(axes, widths, heights, image_size))
        ),
        Chart(
            "Shape",
            f"{landscape:,} wider than tall, {portrait:,} taller than wide, "
            f"{len(photos) - landscape - portrait:,} square.",
            draw_svg("shape", lambda axes: _draw_shapes(axes, widths / heights)),
        ),
        Chart(
            "Brightness",
            f"Mean of a photo: from {brightness.min():.0f} to {brightness.max():.0f}, "
            f"{np.median(brightness):.0f} in the median, of a range of 0 (black) to 255 (white).",
            draw_svg("brightness", lambda axes: _draw_brightness(axes, brightness)),
        ),
    ]


def _draw_sizes(axes: Axes, widths: np.ndarray, heights: np.ndarray, image_size: int) -> None:
    low, high = min(widths.min(), heights.min(), image_size), max(widths.max(), heights.max(), image_size)
    # At least a decade, so that a few labels fit.
    margin = max(1.3, (10 * low / high) ** 0.5)
    limits = (low / margin, high * margin)
    shown = evenly(range(len(widths)), MAX_POINTS)
    axes.plot(limits, limits, color=GRID, linewidth=1)
    axes.plot((image_size, image_size, limits[1]), (limits[1], image_size, image_size), "--", color=INK, linewidth=0.7)
    axes.scatter(widths[shown], heights[shown], s=12, color=BARS, alpha=0.4, linewidths=0)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    ticks = _round_numbers(*limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set(xlabel="width, pixels", ylabel="height, pixels")


def _round_numbers(low: float, high: float) -> list[int]:
    steps = (1, 2, 5) if high / low < 100 else (1,)
    return [step * 10**power for power in range(10) for step in steps if low <= step * 10**power <= high]


def _draw_shapes(axes: Axes, aspects: np.ndarray) -> None:
    import numpy as np

    # Logarithms, so that 2:3 lies as far from the square as 3:2; aspects beyond 4:1 count in the last bar.
    logs = np.log2(aspects)
    reach = float(np.clip(np.abs(logs).max(), 1, 2)) + 0.05
    _draw_histogram(axes, np.clip(logs, -reach, reach), np.linspace(-reach, reach, 36))
    names = {1 / 4: "1:4", 1 / 2: "1:2", 2 / 3: "2:3", 1: "1:1", 3 / 2: "3:2", 2: "2:1", 4: "4:1"}
    ticks = {float(np.log2(value)): name for value, name in names.items() if abs(np.log2(value)) <= reach}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlabel("width : height")


def _draw_brightness(axes: Axes, brightness: np.ndarray) -> None:
    import numpy as np

    _draw_histogram(axes, brightness, np.linspace(0, 256, 33))
    axes.set_xticks([0, 64, 128, 192, 255])
    axes.set_xlabel("mean brightness, 0 to 255")


def _draw_histogram(axes: Axes, values: np.ndarray, edges: np.ndarray) -> None:
    import numpy as np
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    counts, _ = np.histogram(values, edges)
    axes.bar(edges[:-1], counts, np.diff(edges) * 0.86, align="edge", color=BARS)
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_ylabel("photos")


def draw_svg(name: str, draw: Callable[[Axes], None]) -> str:
    """Returns a chart as an SVG element for the page; `name` makes its ids unlike those of the others."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": name,
            "font.size": 11,
            "axes.labelsize": 11,
            "axes.edgecolor": GRID,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.labelcolor": INK,
            "xtick.color": GRID,
            "xtick.labelcolor": INK,
            "ytick.color": GRID,
            "ytick.labelcolor": INK,
        }
    ):
        figure = Figure(figsize=(4.2, 3.4), layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    return _for_page(buffer.getvalue())


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    # The page sets size and fonts; a style element would apply to the whole page.
    svg = re.sub(r"<svg [^>]*(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r" font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    # Groups have the same ids in every chart, and nothing refers to them.
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg).replace("xlink:href", "href")
    svg = re.sub(r"(\d\.\d{2})\d+", r"\1", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    for placeholder, colour in PAGE_COLOURS.items():
        svg = svg.replace(placeholder, colour)
    return svg.strip()
