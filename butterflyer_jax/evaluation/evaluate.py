"""Evaluation of a run's best checkpoint on its own photos or on any others: metrics, predictions, report."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from butterflyer_jax import runs
from butterflyer_jax.console import say, status
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import photo_lists, species_map
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import attributes, eval_step, fitting, overlap, predictions, ranks, refusal, report
from butterflyer_jax.evaluation.eval_step import Scored
from butterflyer_jax.evaluation.fitting import Fitted
from butterflyer_jax.evaluation.opening import (
    ALL,
    About,
    check_name,
    find_data,
    folder_name,
    labelled_by,
    open_once,
    writable,
)
from butterflyer_jax.evaluation.predictions import Predictions
from butterflyer_jax.metrics import classification, outcomes
from butterflyer_jax.metrics import slices as by_slice
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.storage import files

FOLDER = "eval"
METRICS_FILE = "metrics.json"


def evaluate(
    run_folder: str | os.PathLike[str],
    split: str | None = None,
    dataset: str | os.PathLike[str] | None = None,
    slices: str | os.PathLike[str] | None = None,
    by: Sequence[str] = (),
    name: str | None = None,
    species_table: str | os.PathLike[str] | None = None,
    to: str | os.PathLike[str] | None = None,
    species_list: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    build: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates a run's best checkpoint on its own photos, or on any others.

    Writes `metrics.json` and `predictions.csv` into `eval/<name>/` of the run folder. The report goes to
    `report/index.html` for the run's own photos, and to `eval/<name>/index.html` for others.

    Args:
      run_folder: folder of a run with a checkpoint.
      split: train, val, test, or all of them. By default test of the run's own data set, all of any other.
      dataset: a raw zip, a folder or a built data set to take instead of the run's own. Where it holds the same photos
        as the run's own data set, whose place is gone, the run remembers the new place.
      slices: CSV, local or gs://, with a column filename or photo_id that names photos as a label file does.
      by: columns of that CSV by whose values the metrics are divided; many different numbers become ranges, of other
        values the 30 most frequent stay.
      name: folder of the evaluation in `eval/`; by default the split, or the name of the other data set.
      species_table: table of two columns for other data: its species, and the run's name of it (empty for none).
      to: folder that takes all that is written, local or gs://, so that nothing in the run folder changes: for a run
        that may only be read. By default the run folder.
      species_list: file with the species that can occur, one per line; probabilities are those of these alone, and
        photos of other species count as unknown.
      labels: table with the labels of the photos of a zip or a folder, local or gs://, as `build.table` takes it.
      build: fields of the build config by name, such as label_column, by which a zip or a folder is read; by default as
        the run's own data set was.

    Returns:
      count, loss, top1, top5, balanced_accuracy over the photos of species that the run knows;
      expected_calibration_error, of probabilities with the temperature; intervals, 95%: Wilson's of top1 and top5,
      a bootstrap of the others; species, with precision, recall, f1 and support of each; refusal, how many photos of
      known and of unknown species are refused, and of val or test how many whose own species is left out of the
      answers (see `evaluation.refusal.left_out`); outcomes, how many answers are right, wrong and refused (see
      `metrics.outcomes`); ranks, how many have an answer of each rank and its precision (see
      `evaluation.ranks.metrics`), where a taxonomy is known; temperature, threshold, name, split, data, fingerprint,
      trained_on (photos that the run was trained on) and the checkpoint's step. With `slices` also slices.

    Raises:
      UserError: no run or checkpoint there, the data set is gone or has none of the species, the split is empty, or
        the CSV or a column of it is not there or names none of the photos.
    """
    if (slices is None) == bool(by):
        raise UserError("slices need both: --slices, a CSV, and --by, columns of it")
    check_name(name)
    # Read first, so that errors come before the run is loaded.
    known_of_photos = None if slices is None else attributes.read(slices, by)
    if labels is not None:
        build = labelled_by(labels, build)
    table = None if species_table is None else species_map.read_table(species_table)
    run = runs.read(run_folder)
    listed = None if species_list is None else species_map.read_list(species_list, run.species, table)
    place = writable(run, to)
    loaded = runs.load_model(run)
    folder = find_data(run, dataset, build)
    with contextlib.closing(open_once(loaded, folder)) as data:
        is_own = folder == dataset_lib.FAKE or data.fingerprint == run.fingerprint
        if to is None and is_own and folder not in (run.dataset, dataset_lib.FAKE):
            run = runs.remember_dataset(run, folder)
        if is_own and table is not None and listed is None:
            raise UserError(
                "a table of species (--species_map) matches those of other photos, and these are the run's own"
            )
        splits = _splits(data, split or ("test" if is_own else ALL))
        species = None if listed is None else list(itertools.compress(run.species, listed))
        about = About(data.fingerprint, is_own, splits, splits != _splits(data, ALL), species)
        result_name = folder_name(place / FOLDER, METRICS_FILE, name, dataset, about, species_list)
        label_map = np.arange(len(run.species)) if is_own else _label_map(data, run, table)
        columns = {} if known_of_photos is None else _columns(known_of_photos, folder, data, splits)
        own_photos = is_own and folder != dataset_lib.FAKE
        fitted = fitting.fit(loaded, data, folder, keep=to is None) if own_photos else fitting.read(loaded)
        with status("evaluating"):
            scored, parts = _score(loaded, data, splits, label_map, fitted)
        if listed is not None:
            scored = scored.among(listed, fitted.calibrated)
        known = scored.labels != species_map.UNKNOWN
        metrics = _metrics(scored, known, fitted.calibrated, run.species, listed)
        if fitted.ranks:
            scored = dataclasses.replace(scored, answers=ranks.answer(fitted.ranks, scored, fitted.calibrated, listed))
            metrics["ranks"] = ranks.metrics(fitted.ranks, scored, known, data, folder)
        if is_own and listed is None and len(splits) == 1:
            # The sums of the devices are bit-identical to those that a run logs.
            metrics |= parts[0].metrics
        if own_photos and listed is None and splits in (["val"], ["test"]):
            left_out = refusal.left_out(fitted.calibrated, fitted.typical, parts[0], splits[0])
            metrics["refusal"] |= {} if left_out is None else {"left_out": left_out}
        metrics["refused_by"] = "threshold" if fitted.typical is None else "typicality"
        metrics |= {"name": result_name, **_facts(loaded, data, folder, about)}
        if columns:
            metrics["slices"] = by_slice.score(
                scored.logits[known],
                scored.labels[known],
                {column: list(itertools.compress(values, known)) for column, values in columns.items()},
            )
        target = place / FOLDER / result_name
        files.write_json(target / METRICS_FILE, metrics)
        predictions.write(
            target / predictions.FILE, scored, fitted.calibrated, run.species, columns, _groups_in(folder)
        )
        metrics["report"] = report.write(
            loaded, data, folder, scored, metrics, fitted.calibrated, _others(run.folder, place), place
        )
    return metrics


def _label_map(data: Data, run: runs.Run, table: Mapping[str, str] | None) -> np.ndarray:
    return species_map.label_map(data.species, run.species, table, may_be_unknown=True)


def _facts(loaded: runs.LoadedModel, data: Data, dataset: str, about: About) -> dict[str, Any]:
    """Returns what the evaluation is of, and how many of its photos the run was trained on."""
    is_fake = dataset == dataset_lib.FAKE
    seen = None if is_fake else overlap.count(loaded.run, data, about.splits, about.is_own)
    return {
        "split": about.split,
        "data": dataset,
        "fingerprint": data.fingerprint,
        "is_own": about.is_own and about.species is None,
        "species_list": about.species,
        "step": loaded.step,
        "boxes": sum(_num_boxes(data, split) for split in about.splits),
        "trained_on": None if seen is None else dataclasses.asdict(seen),
    }


def _groups_in(dataset: str) -> Mapping[str, str]:
    """Returns the group of each photo of a data set that shares one with others."""
    if dataset != dataset_lib.FAKE:
        # Lists of an earlier version may lack them.
        with contextlib.suppress(UserError):
            return photo_lists.groups(dataset)
    return {}


def _num_boxes(data: Data, split: str) -> int:
    """Returns how many photos of a split are looked at around their box."""
    frames = data.frames(split)
    return 0 if frames is None else int((frames[:, 2] > 0).sum())


def _splits(data: Data, split: str) -> list[str]:
    splits = [one for one in (SPLITS if split == ALL else (split,)) if data.num_photos(one)]
    if not splits:
        there = [one for one in SPLITS if data.num_photos(one)]
        raise UserError(f"the data set has no photos in split {split}; it has {', '.join(there) or 'none'}")
    return splits


def _score(
    loaded: runs.LoadedModel,
    data: Data,
    splits: Sequence[str],
    labels: np.ndarray,
    fitted: Fitted,
) -> tuple[Predictions, list[Scored]]:
    parts = [eval_step.score(loaded, data, split, with_features=fitted.typical is not None) for split in splits]
    names = [[data.species[label] for label in part.labels] for part in parts]
    logits = np.concatenate([part.logits for part in parts])
    features = [part.features for part in parts if part.features is not None]
    scored = Predictions(
        refused=refusal.refused(
            fitted.calibrated, fitted.typical, logits, np.concatenate(features) if features else None
        ),
        labels=labels[np.concatenate([part.labels for part in parts])],
        logits=logits,
        photo_ids=[name for split in splits for name in photo_lists.names(data, split)],
        names=list(itertools.chain(*names)),
        places=[
            (split, number) for split, part in zip(splits, parts, strict=True) for number in range(len(part.labels))
        ],
    )
    return scored, parts


def _metrics(
    scored: Predictions,
    known: np.ndarray,
    calibrated: Calibration,
    species: Sequence[str],
    listed: np.ndarray | None,
) -> dict[str, Any]:
    """Returns the numbers over photos of known species, and how many of all photos are refused."""
    logits, labels = scored.logits[known], scored.labels[known]
    refused = scored.refused
    metrics: dict[str, Any] = {"count": int(known.sum())}
    if known.any():
        confusion = classification.confusion_matrix(labels, logits.argmax(axis=1), len(species))
        metrics = classification.summary(logits, labels) | {
            "expected_calibration_error": classification.reliability(calibrated.probabilities(logits), labels).error,
            "intervals": classification.intervals(logits, labels),
            "species": classification.by_species(confusion, species),
        }
    metrics["refusal"] = {"known": _share(refused[known]), "unknown": _share(refused[~known])}
    metrics["outcomes"] = outcomes.count(calibrated.probabilities(scored.logits), scored.labels, refused, known)
    unknown = sorted({name for name, is_known in zip(scored.names, known, strict=True) if not is_known})
    if unknown:
        metrics["unknown_species"] = unknown
        what = "that the run does not know" if listed is None else "that are not listed"
        say(f"species {what}, to be refused: {', '.join(unknown)} ({int((~known).sum())} photos)")
    return metrics | {"temperature": calibrated.temperature, "threshold": calibrated.threshold}


def _share(refused: np.ndarray) -> dict[str, Any]:
    count = int(refused.sum())
    return {"count": len(refused), "refused": count, "interval": classification.wilson(count, len(refused))}


def _others(*places: epath.Path) -> list[dict[str, Any]]:
    """Returns the metrics of every evaluation in some folders, of a name the last, a run's own splits first."""
    found = {}
    for folder in (place / FOLDER for place in places):
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            with contextlib.suppress(ValueError, OSError):
                found[path.name] = {"name": path.name, **json.loads((path / METRICS_FILE).read_text())}
    return sorted(found.values(), key=lambda metrics: not metrics.get("is_own", True))


def _columns(known: attributes.Attributes, dataset: str, data: Data, splits: Sequence[str]) -> dict[str, list[str]]:
    """Returns what a CSV says of the photos of splits, in the order of the records."""
    names = {one: data.photo_ids(one) for one in SPLITS}
    wanted = list(itertools.chain(*(names[split] for split in splits)))
    if not wanted:
        raise UserError(f"slices need the names of the photos, and there is no {splits[0]}.csv in {dataset}")
    return known.of(wanted, itertools.chain(*names.values()))
