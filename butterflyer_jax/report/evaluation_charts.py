"""Charts of an evaluation report: training curves and reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from butterflyer_jax.metrics.classification import Reliability
from butterflyer_jax.report.charts import BARS, GRID, INK, TRAIN, VAL, Chart, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_POINTS = 400


def training_charts(records: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Returns loss, accuracy, learning rate and speed over the epochs.

    Args:
      records: records of metrics.jsonl, in order.
    """
    train = [record for record in records if record.get("split") == "train"]
    val = [record for record in records if record.get("split") == "val"]
    if len(train) < 2:
        return []
    charts = [_curve("loss", "Loss", "cross-entropy", train, val), _curve("top1", "Top-1", "share right", train, val)]
    rate = [record for record in train if "learning_rate" in record]
    speed = [record for record in train if "images_per_second" in record]
    if rate:
        peak = max(record["learning_rate"] for record in rate)
        caption = f"At most {peak:.4g}."
        # The page's charts show two decimals.
        thousandths = [{**record, "learning_rate": 1000 * record["learning_rate"]} for record in rate]
        charts.append(_single("learning_rate", "Learning rate", "thousandths", thousandths, caption))
    if speed:
        ordered = sorted(record["images_per_second"] for record in speed)
        caption = f"{ordered[len(ordered) // 2]:,.0f} in the median, from one logged line to the next."
        charts.append(_single("images_per_second", "Speed", "images per second", speed, caption))
    return charts


def _curve(
    field: str, title: str, label: str, train: Sequence[Mapping[str, Any]], val: Sequence[Mapping[str, Any]]
) -> Chart:
    def draw(axes: Axes) -> None:
        _line(axes, train, field, TRAIN, 1.1)
        if val:
            _line(axes, val, field, VAL, 1.8, marker="o" if len(val) < 40 else "")
        _frame(axes, label)

    end = f"Train ended at {train[-1][field]:.3g}"
    if val:
        best = (min if field == "loss" else max)(record[field] for record in val)
        end += f", val at {val[-1][field]:.3g}; the best val was {best:.3g}"
    return Chart(title, f"{end}.", draw_svg(f"training {field}", draw))


def _single(field: str, title: str, label: str, records: Sequence[Mapping[str, Any]], caption: str) -> Chart:
    def draw(axes: Axes) -> None:
        _line(axes, records, field, BARS, 1.4)
        axes.set_ylim(bottom=0)
        _frame(axes, label)

    return Chart(title, caption, draw_svg(f"training {field}", draw))


def _line(
    axes: Axes, records: Sequence[Mapping[str, Any]], field: str, colour: str, width: float, marker: str = ""
) -> None:
    # Means of neighbouring steps, to keep the page small.
    each = -(-len(records) // MAX_POINTS)
    parts = [records[start : start + each] for start in range(0, len(records), each)]
    x = [sum(record["epoch"] for record in part) / len(part) for part in parts]
    y = [sum(record[field] for record in part) / len(part) for part in parts]
    axes.plot(x, y, color=colour, linewidth=width, marker=marker, markersize=3)


def _frame(axes: Axes, label: str) -> None:
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set(xlabel="epoch", ylabel=label)
    axes.set_xlim(left=0)


def reliability_charts(before: Reliability, after: Reliability, temperature: float, kept: float | None) -> list[Chart]:
    """Returns the reliability diagram, and the histogram of confidences.

    Args:
      before: reliability of the uncalibrated probabilities.
      after: reliability of the calibrated probabilities.
      temperature: temperature chosen on val.
      kept: reject threshold of the probability; None where photos are refused by their typicality.
    """
    bins = len(after.count)
    edges = [number / bins for number in range(bins)]

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), "--", color=INK, linewidth=0.8)
        axes.bar(edges, after.accuracy, 0.9 / bins, align="edge", color=BARS, alpha=0.55)
        for result, colour, marker in ((before, VAL, "o"), (after, TRAIN, "s")):
            axes.plot(result.confidence, result.accuracy, marker, color=colour, markersize=5)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share right")
        axes.set_aspect("equal")

    def draw_counts(axes: Axes) -> None:
        axes.bar(edges, after.count, 0.9 / bins, align="edge", color=BARS)
        if kept:
            axes.axvline(kept, color=INK, linestyle="--", linewidth=0.8)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set(xlim=(0, 1), xlabel="probability", ylabel="photos")

    caption = f"Expected calibration error {before.error:.1%} as trained, {after.error:.1%} with a temperature of "
    caption += f"{temperature:.3g}. On the dashed line the network is right as often as it says."
    counts = "How sure the network is of its first species."
    if kept is None:
        counts += " Photos are refused by their typicality, not by this probability."
    elif kept:
        counts += f" Left of the dashed line, {kept:.0%}, a photo is probably none of these species."
    return [
        Chart("Reliability", caption, draw_svg("reliability", draw)),
        Chart("Confidence", counts, draw_svg("confidence", draw_counts)),
    ]
