"""The evaluation report: one HTML page with the metrics, mistakes and heat maps of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from butterflyer_jax.config import Config
from butterflyer_jax.metrics import classification
from butterflyer_jax.report import evaluation_charts, left_out, matrix
from butterflyer_jax.report.evaluation_pictures import Gallery, HeatMaps, View
from butterflyer_jax.report.findings import Finding, counted, share
from butterflyer_jax.report.page import make_environment, settings

OPEN_SPECIES = 30
MAX_SPECIES = 300
OPEN_VALUES = 12
# Number of photos below which an accuracy is not meaningful.
FEW = 10
LOW_RECALL = 0.5
HIGH_CALIBRATION_ERROR = 0.1


@dataclass(frozen=True)
class Evaluation:
    """The content of an evaluation report.

    Attributes:
      name: name of the run.
      split: name of the split that was evaluated.
      species: names of the species.
      metrics: content of metrics.json.
      labels: int [count].
      raw_probabilities: float [count, species], uncalibrated.
      probabilities: float [count, species], calibrated by the temperature.
      photo_ids: path of each photo in its source.
      threshold: reject threshold of the probability.
      temperature: temperature that the logits were divided by.
      records: records of metrics.jsonl.
      evaluations: metrics of every evaluation of the run, own photos first.
      about: content of the run's config.json.
      facts: (name, value) rows for the model's card.
      view: maps (number, side) to uint8 [side, side, 3], a photo as the network sees it; None without photos.
      heat_maps: maps (numbers, species) to float [n, side, side] from 0 to 1.
    """

    name: str
    split: str
    species: Sequence[str]
    metrics: Mapping[str, Any]
    labels: Integer[np.ndarray, " count"]
    raw_probabilities: Float[np.ndarray, "count num_species"]
    probabilities: Float[np.ndarray, "count num_species"]
    photo_ids: Sequence[str]
    threshold: float
    temperature: float
    records: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any]
    facts: Sequence[tuple[str, str]]
    view: View | None = None
    heat_maps: HeatMaps | None = None


def render_evaluation(evaluation: Evaluation) -> str:
    """Returns the report as one HTML page with its images and charts."""
    confusion = classification.confusion_matrix(
        evaluation.labels, evaluation.probabilities.argmax(axis=1), len(evaluation.species)
    )
    gallery = Gallery(
        evaluation.species,
        evaluation.labels,
        evaluation.probabilities,
        evaluation.photo_ids,
        evaluation.view,
        evaluation.heat_maps,
    )
    before = classification.reliability(evaluation.raw_probabilities, evaluation.labels)
    after = classification.reliability(evaluation.probabilities, evaluation.labels)
    # Without a photo of a known species there are none of these numbers; what is refused is shown all the same.
    has_known = len(evaluation.labels) > 0
    rows = _species_rows(evaluation.metrics["species"]) if has_known else []
    return (
        make_environment()
        .get_template("evaluation.html.j2")
        .render(
            of=evaluation,
            metrics=evaluation.metrics,
            tiles=[*(_tiles(evaluation.metrics) if has_known else []), *_refusal_tiles(evaluation.metrics)],
            findings=[*_refusal_findings(evaluation.metrics), *(_findings(evaluation) if has_known else [])],
            curves=evaluation_charts.training_charts(evaluation.records),
            open_rows=rows[:OPEN_SPECIES],
            folded_rows=rows[OPEN_SPECIES:MAX_SPECIES],
            num_unlisted=max(0, len(rows) - MAX_SPECIES),
            slices=evaluation.metrics.get("slices", {}),
            open_values=OPEN_VALUES,
            few=FEW,
            matrix=matrix.layout(confusion, evaluation.species),
            confusions=gallery.confusions(confusion),
            mistakes=gallery.mistakes(),
            num_mistakes=int(confusion.sum() - confusion.trace()),
            right_ones=gallery.right_ones(),
            has_known=has_known,
            reliability=evaluation_charts.reliability_charts(
                before,
                after,
                evaluation.temperature,
                None if evaluation.metrics.get("refused_by") == "typicality" else evaluation.threshold,
            ),
            evaluations=evaluation.evaluations,
            settings=settings(evaluation.about["config"], Config),
        )
    )


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (name, value, interval) of the headline metrics."""
    tiles = []
    for name, title in (("top1", "Top-1"), ("top5", "Top-5"), ("balanced_accuracy", "Balanced over species")):
        low, high = metrics["intervals"][name]
        tiles.append((title, f"{metrics[name]:.1%}", f"{low:.1%} to {high:.1%}"))
    tiles.append(("Calibration error", f"{metrics['expected_calibration_error']:.1%}", "lower is better"))
    low, high = metrics["intervals"]["loss"]
    tiles.append(("Loss, cross-entropy", f"{metrics['loss']:.3f}", f"{low:.3f} to {high:.3f}"))
    return tiles


def _refusal_tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (name, value, interval) of the shares of photos that are refused."""
    tiles = []
    for group, title in (("known", "Refused, of known species"), ("unknown", "Refused, of other species")):
        of_group = metrics.get("refusal", {}).get(group)
        if of_group and of_group["count"]:
            low, high = of_group["interval"]
            value = f"{of_group['refused'] / of_group['count']:.1%}"
            tiles.append((title, value, f"{low:.1%} to {high:.1%}, of {counted(of_group['count'], 'photo', 'photos')}"))
    return tiles


def _species_rows(species: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns (name, scores with the interval of the recall), the worst first; those without photos last."""
    rows = [(name, {**row, "interval": classification.recall_interval(row)}) for name, row in species.items()]
    return sorted(rows, key=lambda item: (item[1]["f1"] is None, item[1]["f1"] or 0.0, item[0]))


def _refusal_findings(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    refusal = metrics.get("refusal", {})
    if (found := refusal.get("left_out")) and left_out.is_weak(found):
        yield Finding(
            "Most photos of other species may pass", f"{left_out.measured(found)}. {left_out.ADVICE}.", serious=True
        )
    if (found := refusal.get("unknown")) and found["count"] and left_out.is_weak(found):
        passed = counted(found["count"] - found["refused"], "photo", "photos")
        yield Finding(
            "Most photos of species that the run does not know are not refused",
            f"{passed} of {found['count']:,} pass. {left_out.ADVICE}.",
            serious=True,
        )


def _findings(evaluation: Evaluation) -> Iterator[Finding]:
    rows = evaluation.metrics["species"]
    if low := sorted(name for name, row in rows.items() if row["recall"] is not None and row["recall"] < LOW_RECALL):
        yield Finding(
            counted(len(low), "species is", "species are") + " missed more often than found",
            "Less than half of their photos are named rightly:",
            serious=True,
            names=low,
        )
    if missing := sorted(name for name, row in rows.items() if not row["support"]):
        yield Finding(
            counted(len(missing), "species has", "species have") + f" no {evaluation.split} photos",
            "Nothing is known about the accuracy for these:",
            names=missing,
        )
    if few := sum(0 < row["support"] < FEW for row in rows.values()):
        yield Finding(
            f"{share(few, len(rows))} of the species have fewer than {FEW} {evaluation.split} photos",
            "One photo more or less changes their numbers much; look at the intervals above.",
        )
    if worse := _worse_slices(evaluation.metrics):
        yield Finding(
            counted(len(worse), "slice is", "slices are") + " less accurate than the rest",
            "The 95% interval of their top-1 lies below that of all photos:",
            names=worse,
        )
    error = evaluation.metrics["expected_calibration_error"]
    if error > HIGH_CALIBRATION_ERROR:
        yield Finding(
            f"Probabilities are off by {error:.0%}",
            "The network is right more or less often than its probabilities say, even with the temperature.",
        )


def _worse_slices(metrics: Mapping[str, Any]) -> list[str]:
    low = metrics["intervals"]["top1"][0]
    return [
        f"{column} {value} ({row['top1']:.0%} of {row['count']:,})"
        for column, values in metrics.get("slices", {}).items()
        for value, row in values.items()
        if row["count"] >= FEW and row["intervals"]["top1"][1] < low
    ]
