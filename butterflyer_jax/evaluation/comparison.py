"""Comparison of runs on the same photos, from the predictions.csv of their evaluations."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import predictions
from butterflyer_jax.metrics import paired
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.report.comparison import MARK, render_comparison
from butterflyer_jax.storage import files, find, outputs, paths

FOLDER, METRICS_FILE, CONFIG_FILE = "eval", "metrics.json", "config.json"
# Names that stand for photos whose names are not known, see `photo_lists.names`.
_NUMBERED = re.compile(r"\w+/\d+")


@dataclass(frozen=True)
class _Answers:
    """The answers of one run.

    Attributes:
      name: name of the run folder.
      labels: species of each photo as the data names it, by path; by split and path where a path is in two splits.
      known: the run's name of it, empty where it does not know it.
      named: species that the run answers.
      refused: photos that it refuses.
      fingerprint: fingerprint of the data set.
      trained_on: number of photos that the run was trained on, or near-duplicates of; 0 where it is not known.
    """

    name: str
    labels: dict[str, str]
    known: dict[str, str]
    named: dict[str, str]
    refused: set[str]
    fingerprint: str
    trained_on: int


def compare(
    run_folders: Sequence[str | os.PathLike[str]],
    name: str = "test",
    output: str | os.PathLike[str] = "compare.html",
) -> dict[str, Any]:
    """Compares runs on the photos of an evaluation that each of them has, and writes a page.

    Photos of species that one of the runs does not know are left out. Each run is compared with the first.

    Args:
      run_folders: two run folders at least, local or gs://.
      name: name of the evaluation, a folder in `eval/` of each run.
      output: file of the page, local or gs://.

    Returns:
      name; count, photos compared; left_out, photos of species that not all runs know; trained_on, for
      each run that was trained on some of the photos, their number; runs, a row for each: run,
      right, top1, its interval (Wilson's, 95%), refused; pairs, a row for each run but the first: run, only_first and
      only_this (photos that one of both has right), difference of top1 with its interval (Agresti and Min's, 95%), p
      (McNemar's, exact), p_adjusted (Holm's, for several rows); species, the same by species; and page, its file.

    Raises:
      UserError: fewer than two runs, one is named twice, one lacks the evaluation, the photos differ, or the page would
        replace another file.
    """
    outputs.check_file(paths.path(output), MARK, "--output")
    if len(run_folders) < 2:
        raise UserError("compare needs at least two runs")
    folders = [os.fspath(paths.path(folder)).rstrip("/") for folder in run_folders]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise UserError(f"{twice} is named twice")
    bases = [re.split(r"[/\\]", folder)[-1] for folder in folders]
    shown = bases if len(set(bases)) == len(bases) else folders
    runs = [_read(folder, name, base) for folder, base in zip(folders, shown, strict=True)]
    for run in runs[1:]:
        _check_same(runs[0], run)
    kept = [photo for photo in runs[0].labels if all(run.known[photo] for run in runs)]
    if not kept:
        raise UserError("no photo is of a species that all of the runs know")
    by_species: dict[str, list[str]] = {}
    for photo in kept:
        by_species.setdefault(runs[0].known[photo], []).append(photo)
    result = {
        "name": name,
        "count": len(kept),
        "left_out": len(runs[0].labels) - len(kept),
        "trained_on": {run.name: run.trained_on for run in runs if run.trained_on},
        **_rows(runs, kept),
        "species": {one: {"count": len(photos), **_rows(runs, photos)} for one, photos in sorted(by_species.items())},
    }
    _adjust(result["pairs"])
    _adjust([pair for row in result["species"].values() for pair in row["pairs"]])
    files.write_text(paths.path(output), render_comparison(result))
    return result | {"page": os.fspath(output)}


def _read(folder: str, name: str, shown: str) -> _Answers:
    path = paths.path(folder)
    if not files.exists(path / CONFIG_FILE):
        reason = f"it has no {CONFIG_FILE}" if files.exists(path) else "there is no such folder"
        raise UserError(f"no run in {folder}: {reason}")
    file = path / FOLDER / name / predictions.FILE
    if not files.exists(file):
        there = sorted(found.parent.name for found in find.glob(path / FOLDER, f"*/{predictions.FILE}"))
        raise UserError(
            f"{folder} has no evaluation {name} (it has {', '.join(there) or 'none'}): "
            "butterflyer evaluate makes one, --name takes another"
        )
    rows = list(csv.DictReader(io.StringIO(files.read_text(file))))
    if not rows or "known_as" not in rows[0]:
        raise UserError(f"{file} is of an earlier version or empty: butterflyer evaluate recreates it")
    keys = [row["photo_id"] for row in rows]
    if len(set(keys)) < len(keys):
        keys = [f"{row['split']}: {row['photo_id']}" for row in rows]
    if len(set(keys)) < len(keys):
        raise UserError(f"{file} names a photo twice")
    try:
        metrics = json.loads(files.read_text(file.parent / METRICS_FILE))
        fingerprint, trained_on = str(metrics["fingerprint"]), sum((metrics.get("trained_on") or {}).values())
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file.parent / METRICS_FILE} is damaged: {error}") from error

    def column(title: str) -> dict[str, str]:
        return {key: row[title] for key, row in zip(keys, rows, strict=True)}

    refused = {key for key, value in column("none_of_these").items() if value == "true"}
    return _Answers(shown, column("label"), column("known_as"), column("species"), refused, fingerprint, trained_on)


def _check_same(first: _Answers, other: _Answers) -> None:
    """Raises a UserError if the predictions of two runs are of different photos."""
    both = first.labels.keys() & other.labels.keys()
    nameless = all(map(_NUMBERED.fullmatch, first.labels))
    if nameless and first.fingerprint != other.fingerprint:
        raise UserError(
            f"the photos of {first.name} and {other.name} cannot be matched: they have no names, of two data sets"
        )
    if not len(first.labels) == len(other.labels) == len(both):
        raise UserError(
            f"the predictions are of different photos: {first.name} has {len(first.labels)}, {other.name} "
            f"{len(other.labels)}, and {len(both)} are the same; evaluate both runs on the same --input"
        )
    if photo := next((key for key in both if first.labels[key] != other.labels[key]), None):
        raise UserError(
            f"the labels differ: {photo} is {first.labels[photo]!r} for {first.name} and "
            f"{other.labels[photo]!r} for {other.name}"
        )


def _rows(runs: Sequence[_Answers], photos: Sequence[str]) -> dict[str, Any]:
    right = [[run.named[photo] == run.known[photo] for photo in photos] for run in runs]
    rows = []
    for run, of_run in zip(runs, right, strict=True):
        rows.append(
            {
                "run": run.name,
                "right": sum(of_run),
                "top1": sum(of_run) / len(photos),
                "interval": wilson(sum(of_run), len(photos)),
                "refused": sum(photo in run.refused for photo in photos) / len(photos),
            }
        )
    pairs = []
    for run, of_run in zip(runs[1:], right[1:], strict=True):
        only_first = sum(mine and not other for mine, other in zip(right[0], of_run, strict=True))
        only_this = sum(other and not mine for mine, other in zip(right[0], of_run, strict=True))
        value, interval = paired.difference(only_first, only_this, len(photos))
        pairs.append(
            {
                "run": run.name,
                "only_first": only_first,
                "only_this": only_this,
                "difference": value,
                "interval": interval,
                "p": paired.mcnemar(only_first, only_this),
            }
        )
    return {"runs": rows, "pairs": pairs}


def _adjust(pairs: Sequence[dict[str, Any]]) -> None:
    for pair, adjusted in zip(pairs, paired.holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_adjusted"] = adjusted
