"""A run's best checkpoint evaluated on a split: metrics, predictions, report."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any

from butterflyer_jax import runs
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.distributed import sharding
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import attributes, eval_step, report
from butterflyer_jax.metrics import calibration, classification
from butterflyer_jax.metrics import slices as by_slice
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.storage import files


def evaluate(
    run_folder: str | os.PathLike[str],
    split: str = "test",
    dataset: str | os.PathLike[str] | None = None,
    slices: str | os.PathLike[str] | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluates a run's best checkpoint; writes `eval/<split>/metrics.json` and `report/index.html` into its folder.

    Args:
      run_folder: of a run with a checkpoint.
      split: train, val or test.
      dataset: built data set to take instead of the one that the run was trained on, with the same species.
      slices: CSV, local or gs://, with a column filename or photo_id that names photographs as a label file does.
      by: its columns to give the numbers by; ranges of many different numbers, the 30 most frequent of other values.

    Returns:
      count, loss, top1, top5, balanced_accuracy; expected_calibration_error, of probabilities with the temperature;
      intervals, 95% of a bootstrap; species, with precision, recall, f1 and support of each; temperature, threshold,
      split, and the checkpoint's step. With `slices` also slices: by column and value, what the first line lists, and
      intervals.

    Raises:
      UserError: no run or checkpoint there, the data set is gone or has other species, the split is empty, or the CSV
        or a column of it is not there or names none of the photographs.
    """
    if (slices is None) == bool(by):
        raise UserError("slices need both: --slices, a CSV, and --by, columns of it")
    # Told at once, before the run is loaded.
    known_of_photos = None if slices is None else attributes.read(slices, by)
    run = runs.read(run_folder)
    loaded = runs.load_model(run)
    # Once over a split: neither files on the disk nor more memory than is free are worth it, whatever training took.
    once = dataclasses.replace(run.config, data=dataclasses.replace(run.config.data, mode="auto"))
    if dataset is None or os.fspath(dataset) == dataset_lib.FAKE:
        folder = run.dataset if dataset is None else dataset_lib.FAKE
    else:
        folder = dataset_lib.resolve(dataset, run.config.build)
    data = dataset_lib.open_data(folder, once, not sharding.on_cpu(loaded.mesh))
    with contextlib.closing(data):
        if data.species != run.species:
            raise UserError(f"the data set's species are not the run's: {', '.join(data.species)}")
        if not data.num_photos(split):
            raise UserError(f"the data set has no photographs in split {split}")
        columns = {} if known_of_photos is None else _columns(known_of_photos, folder, split)
        scored = eval_step.score(loaded, data, split)
        # What another data set would suggest is not the run's.
        own = folder == run.dataset and folder != dataset_lib.FAKE
        calibrated = calibrate(loaded, data) if own else loaded.calibration()
        probabilities = calibration.softmax(scored.logits / calibrated.temperature)
        confusion = classification.confusion_matrix(scored.labels, scored.logits.argmax(axis=1), len(run.species))
        metrics = scored.metrics | {
            "expected_calibration_error": classification.reliability(probabilities, scored.labels).error,
            "temperature": calibrated.temperature,
            "threshold": calibrated.threshold,
            "intervals": classification.intervals(scored.logits, scored.labels),
            "split": split,
            "step": loaded.step,
            "species": classification.by_species(confusion, run.species),
        }
        if columns:
            _check_order(folder, split, [run.species[label] for label in scored.labels])
            metrics["slices"] = by_slice.score(scored.logits, scored.labels, columns)
        files.write_text(
            run.folder / "eval" / split / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False)
        )
        report.write(loaded, data, folder, scored, metrics, calibrated)
    return metrics


def _columns(known: attributes.Attributes, dataset: str, split: str) -> dict[str, list[str]]:
    """Returns what a CSV says of the photographs of a split, in the order of the records."""
    names = {one: [name for name, _ in dataset_lib.listed(dataset, one)] for one in SPLITS}
    if not names[split]:
        raise UserError(f"slices need the names of the photographs, and there is no {split}.csv in {dataset}")
    return known.of(names[split], itertools.chain(*names.values()))


def _check_order(dataset: str, split: str, species: Sequence[str]) -> None:
    if [label for _, label in dataset_lib.listed(dataset, split)] != species:
        raise UserError(f"{split}.csv in {dataset} lists other photographs than the records beside it")


def calibrate(loaded: runs.LoadedModel, data: Data) -> Calibration:
    """Returns the calibration of a checkpoint; fits it on val and writes `calibration.json` where there is none yet.

    Args:
      loaded: the model of a run; the run folder gets the file.
      data: the run's open data set.
    """
    known = loaded.calibration()
    if known.count or not data.num_photos("val"):
        return known
    scored = eval_step.score(loaded, data, "val")
    chosen = calibration.fit(scored.logits, scored.labels, loaded.step)
    files.write_text(loaded.run.folder / calibration.FILE, chosen.to_json())
    return chosen
