"""Evaluations that never were: answers drawn at random, right more often than not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from butterflyer_jax.config import Config
from butterflyer_jax.metrics import calibration, classification
from butterflyer_jax.report.evaluation import Evaluation, render_evaluation
from tests.helpers.report_pages import Page


def make_evaluation(num_species: int = 10, per_species: int = 12, sure: float = 3.0, **changes: Any) -> Evaluation:
    """Returns an evaluation in which each species is now and then taken for the next; the first has no photos."""
    rng = np.random.default_rng(0)
    species = tuple(f"Species {number:04}" for number in range(num_species))
    labels = np.repeat(np.arange(1, num_species), per_species).astype(np.int32)
    logits = rng.normal(0, 1, (len(labels), num_species))
    logits[np.arange(len(labels)), labels] += sure
    taken_for = np.where(rng.random(len(labels)) < 0.15, (labels + 1) % num_species, labels)
    logits[np.arange(len(labels)), taken_for] += 2 if sure < 10 else 0
    probabilities = calibration.softmax(logits / 1.5)
    confusion = classification.confusion_matrix(labels, logits.argmax(axis=1), num_species)
    metrics = {
        "count": len(labels),
        "loss": 0.3,
        "top1": float((logits.argmax(axis=1) == labels).mean()),
        "top5": 0.99,
        "balanced_accuracy": 0.9,
        "expected_calibration_error": classification.reliability(probabilities, labels).error,
        "intervals": classification.intervals(logits, labels),
        "species": classification.by_species(confusion, species),
        "split": "test",
        "step": 1234,
    }
    train = [
        {"split": "train", "step": n, "epoch": n / 10, "loss": 3 / n, "top1": 1 - 1 / n, "learning_rate": 0.01 / n,
         "images_per_second": 300.0, "step_ms": 10.0}
        for n in range(1, 41)
    ]  # fmt: skip
    val = [{"split": "val", "step": 10 * n, "epoch": n, "loss": 2 / n, "top1": 1 - 0.5 / n} for n in range(1, 5)]
    evaluation = Evaluation(
        name="a run",
        split="test",
        species=species,
        metrics=metrics,
        labels=labels,
        raw_probabilities=calibration.softmax(logits),
        probabilities=probabilities,
        photo_ids=[f"{species[label]}/{number:03}.jpg" for number, label in enumerate(labels)],
        threshold=0.42,
        temperature=1.5,
        records=[*train, *val],
        evaluations=[],
        about={"versions": {"jax": "0.10.2"}, "config": Config().to_dict()},
        facts=[("Hardware", "a machine")],
        view=lambda number, side: np.full((side, side, 3), (40 * number % 256, 90, 160), np.uint8),
        heat_maps=lambda numbers, labels: np.linspace(0, 1, len(numbers) * 16).reshape(-1, 4, 4),
    )
    return dataclasses.replace(evaluation, **changes)


def render(**changes: Any) -> tuple[str, Page]:
    text = render_evaluation(make_evaluation(**changes))
    return text, Page(text)
