"""The evaluation report's content: photos, heat maps and facts of the run, collected and rendered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import photo
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.data.species_map import UNKNOWN
from butterflyer_jax.evaluation.photo_features import read_photos
from butterflyer_jax.evaluation.predictions import Predictions
from butterflyer_jax.inference import gradcam
from butterflyer_jax.metrics import calibration
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.report import left_out
from butterflyer_jax.report.evaluation import Evaluation, render_evaluation
from butterflyer_jax.storage import files, paths
from butterflyer_jax.tracking.jsonl import read_records
from butterflyer_jax.tracking.trackers import METRICS_FILE

FILE = "report/index.html"


def write(
    loaded: runs.LoadedModel,
    data: Data,
    dataset: str,
    scored: Predictions,
    metrics: dict[str, Any],
    calibrated: Calibration,
    evaluations: Sequence[Mapping[str, Any]],
    place: epath.Path,
) -> str:
    """Writes the report; returns its path.

    Args:
      loaded: model that was evaluated.
      data: open data set.
      dataset: folder of the data set, or "fake".
      scored: photos and their logits; those of species that the run does not know are left out of the pictures.
      metrics: content of metrics.json.
      calibrated: temperature and threshold of the answers.
      evaluations: metrics of every evaluation of the run, shown side by side.
      place: folder for all results.
    """
    run, split = loaded.run, metrics["split"]
    view = heat_maps = None
    known = np.flatnonzero(scored.labels != UNKNOWN)
    labels, logits = scored.labels[known], scored.logits[known]
    names = [scored.photo_ids[number] for number in known]
    if dataset != dataset_lib.FAKE:
        view = _make_view(run, data, [scored.places[number] for number in known])
        heat_maps = _make_heat_maps(loaded, view)
    about = json.loads((run.folder / runs.CONFIG_FILE).read_text())
    records = read_records(run.folder / METRICS_FILE)
    page = render_evaluation(
        Evaluation(
            name=run.folder.name,
            split=split if metrics["is_own"] else metrics["name"],
            species=run.species,
            metrics=metrics,
            labels=labels,
            raw_probabilities=calibration.softmax(logits),
            probabilities=calibrated.probabilities(logits),
            evaluations=evaluations,
            photo_ids=names,
            threshold=calibrated.threshold,
            temperature=calibrated.temperature,
            records=records,
            about={"versions": {}} | about,
            facts=_facts(loaded, about, records, metrics, calibrated, dataset),
            view=view,
            heat_maps=heat_maps,
        )
    )
    target = place / FILE if metrics["is_own"] else place / "eval" / metrics["name"] / "index.html"
    files.write_text(target, page)
    return str(target)


def _make_view(run: runs.Run, data: Data, places: Sequence[tuple[str, int]]) -> Callable[[int, int], np.ndarray]:
    config = run.config

    def view(number: int, side: int) -> np.ndarray:
        split, place = places[number]
        [image] = read_photos(data, split, np.array([place]))
        return photo.central_crop(image, config.data.eval_crop_fraction, side)

    return view


def _make_heat_maps(
    loaded: runs.LoadedModel, view: Callable[[int, int], np.ndarray]
) -> Callable[[Sequence[int], Sequence[int]], np.ndarray]:
    of_batch = gradcam.make_heat_maps(loaded.model, loaded.config)

    def heat_maps(numbers: Sequence[int], labels: Sequence[int]) -> np.ndarray:
        # One by one: they are few, and only one shape is compiled.
        size = loaded.config.data.image_size
        maps = [
            of_batch(loaded.variables, view(number, size)[None], np.array([label]))
            for number, label in zip(numbers, labels, strict=True)
        ]
        return np.concatenate(maps)

    return heat_maps


def _facts(
    loaded: runs.LoadedModel,
    about: dict[str, Any],
    records: list[dict[str, Any]],
    metrics: dict[str, Any],
    calibrated: Calibration,
    dataset: str,
) -> list[tuple[str, str]]:
    """Returns the lines of the model's card."""
    import jax

    config = loaded.config
    model = config.model
    norm = " with batch normalisation" if model.batch_norm else ""
    parameters = sum(x.size for x in jax.tree.leaves(loaded.variables.params))
    facts = [
        ("Network", f"{model.variant}{norm}, head {model.head}, {parameters:,} parameters"),
        ("Input", f"{config.data.image_size} x {config.data.image_size} pixels"),
        ("Started from", model.pretrained or "random weights"),
        ("Data set", paths.path(dataset).name if dataset == dataset_lib.FAKE else dataset.rstrip("/").split("/")[-2]),
        ("Its fingerprint", metrics["fingerprint"][:16]),
        ("Epochs, batch", f"{config.num_epochs}, {config.batch_size} photos"),
        ("Optimizer", f"{config.optim.name}, learning rate {config.optim.learning_rate:g}, {config.optim.schedule}"),
        ("Hardware", ", ".join(about.get("devices", [])) or "not recorded"),
    ]
    steps = [record for record in records if record.get("split") == "train" and "step_ms" in record]
    if steps:
        # Each line stands for the steps since the previous one.
        lengths = np.diff([0, *(record["step"] for record in steps)])
        seconds = float(np.dot(lengths, [record["step_ms"] for record in steps])) / 1000
        time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"
        facts.append(("Time in steps", f"{time} for {steps[-1]['step']:,} steps"))
    if metrics.get("boxes"):
        facts.append(
            ("Boxes", f"{metrics['boxes']:,} photos are looked at around their box, which predict does not know")
        )
    if calibrated.count:
        facts.append(
            (
                "Calibration",
                f"temperature {calibrated.temperature:.3g}, on {calibrated.count:,} val photos",
            )
        )
    threshold = f"probability under {calibrated.threshold:.0%}" if calibrated.threshold else "nothing"
    facts.append(("Refused by", "typicality" if metrics.get("refused_by") == "typicality" else threshold))
    if found := metrics["refusal"].get("left_out"):
        facts.append(("Other species", left_out.measured(found)))
    revision, _, dirty = str(about.get("git_revision") or "none").partition("-")
    facts += [("Checkpoint", f"step {metrics['step']:,}"), ("Git revision", revision[:12] + (dirty and f", {dirty}"))]
    return facts
