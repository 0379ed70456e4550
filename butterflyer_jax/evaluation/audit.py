"""Audit of the labels of a data set: out-of-fold answers rank the photos whose label is probably wrong."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import folds as folds_lib
from butterflyer_jax.data import photo, photo_lists
from butterflyer_jax.data.ingest.split import SPLITS
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.errors import UserError
from butterflyer_jax.evaluation import eval_step, feature_cache
from butterflyer_jax.evaluation.opening import About, check_name, find_data, folder_name, open_once, writable
from butterflyer_jax.metrics import linear_probe
from butterflyer_jax.models.features import num_features
from butterflyer_jax.report.audit import Neighbour, Suspect, render_audit
from butterflyer_jax.report.pictures import to_uri
from butterflyer_jax.storage import files

FOLDER = "audit"
METRICS_FILE, TABLE_FILE, PAGE_FILE = "audit.json", "labels.csv", "index.html"
NUM_FOLDS = 5
# Blocks of the network whose features count. The last one memorises wrong labels: of 42 planted among the 832 of
# Leeds, 39 are in the first 8% of the list by these, and 35 by all five blocks.
NUM_BLOCKS = 4
NUM_NEIGHBOURS = 3
MAX_PICTURED = 150
SIDE = 176
DECIMALS = 4


@dataclass(frozen=True)
class _Photos:
    """All photos of a data set, split after split.

    Attributes:
      names: path of each photo in its source.
      places: split of each photo, and its index within the split.
      labels: int [count].
      features: float32 [count, num_features].
      groups: group of each photo that shares one with others, by name.
    """

    names: list[str]
    places: list[tuple[str, int]]
    labels: Int32[np.ndarray, " count"]
    features: Float32[np.ndarray, "count num_features"]
    groups: dict[str, str]


@dataclass(frozen=True)
class _Answers:
    """Out-of-fold answers to all photos.

    Attributes:
      probabilities: float [count, num_classes].
      margins: float [count], the smallest for the most doubtful labels.
      judged: bool [count], whether the label has photos in other folds, without which nothing can be said.
    """

    probabilities: Float[np.ndarray, "count num_classes"]
    margins: Float[np.ndarray, " count"]
    judged: Bool[np.ndarray, " count"]

    @property
    def suspect(self) -> Bool[np.ndarray, " count"]:
        """Whether the answer is another species than the label, bool [count]."""
        return self.judged & (self.margins < 0)


def audit(
    run_folder: str | os.PathLike[str],
    dataset: str | os.PathLike[str] | None = None,
    name: str | None = None,
    accept: float | None = None,
    to: str | os.PathLike[str] | None = None,
    build: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Ranks the labels of all photos of a data set by how much they are doubted.

    A linear probe on features of the run's network is fitted on four of five folds, and answers for the fifth. Groups
    of photos are never divided between folds, so no copy vouches for another.

    Writes `labels.csv`, a label table of all photos with the most doubtful first (with the splits and groups that their
    source gives), the page `index.html` and `audit.json` into `audit/<name>/` of the run folder. No label is changed
    unless `accept` says so.

    Args:
      run_folder: folder of a run with a checkpoint.
      dataset: a raw zip, a folder or a built data set to audit instead of the run's own; of any species.
      name: folder of the audit in `audit/`; by default "all", or the name of the other data set.
      accept: probability from which on the answer replaces the label in the table; None keeps every label.
      to: folder that takes all that is written, local or gs://; by default the run folder.
      build: fields of the build config by name, by which another zip or folder is read.

    Returns:
      count, species (their number), suspects, accepted, not_judged (photos whose species has no other group), accuracy
      (share of the answers that agree with the label), name, data, fingerprint, step, table and report (their paths).

    Raises:
      UserError: no run or checkpoint there, the data set is gone, it has fewer than two species, or the table of an
        earlier audit was edited.
    """
    if accept is not None and not 0.5 <= accept <= 1:
        raise UserError(f"--accept {accept:g}: take a probability from 0.5 to 1")
    check_name(name)
    run = runs.read(run_folder)
    place = writable(run, to)
    loaded = runs.load_model(run)
    folder = find_data(run, dataset, build)
    if folder == dataset_lib.FAKE:
        raise UserError("fake photos have no labels to audit; name a data set with --input")
    data = open_once(loaded, folder)
    with contextlib.closing(data):
        splits = [split for split in SPLITS if data.num_photos(split)]
        is_own = data.fingerprint == run.fingerprint
        results = place / FOLDER
        target = results / folder_name(results, METRICS_FILE, name, dataset, About(data.fingerprint, is_own, SPLITS))
        _refuse_edited(target)
        photos = _read(loaded, data, folder, splits)
        answers = _answer(photos, len(data.species), data.species)
        order = np.lexsort((np.arange(len(photos.names)), answers.margins, ~answers.judged))
        suspects = [int(number) for number in order if answers.suspect[number]]
        # No probability reaches infinity.
        accepted = answers.suspect & (answers.probabilities.max(axis=1) >= (np.inf if accept is None else accept))
        pictured = _pictured(run, data, photos, answers, accepted, suspects[:MAX_PICTURED])
        table = _table(photos, answers, accepted, order, data.species, _kept(photos, dataset_lib.card(folder)))
    agree = answers.judged & ~answers.suspect
    metrics: dict[str, Any] = {
        "count": len(photos.names),
        "species": len(data.species),
        "suspects": len(suspects),
        "accepted": int(accepted.sum()),
        "not_judged": int((~answers.judged).sum()),
        "accuracy": float(agree.sum() / max(1, answers.judged.sum())),
        "name": target.name,
        "data": folder,
        "fingerprint": data.fingerprint,
        "step": loaded.step,
    }
    page = render_audit(metrics, run.folder.name, TABLE_FILE, pictured)
    files.write_csv(target / TABLE_FILE, table[0], table[1:])
    files.write_text(target / PAGE_FILE, page)
    metrics["table_sha256"] = sha256(files.read_bytes(target / TABLE_FILE)).hexdigest()
    files.write_json(target / METRICS_FILE, metrics)
    return metrics | {"table": str(target / TABLE_FILE), "report": str(target / PAGE_FILE)}


def _refuse_edited(target: Any) -> None:
    """Raises a UserError where the table that would be overwritten was edited by hand."""
    table = target / TABLE_FILE
    if not files.exists(table):
        return
    with contextlib.suppress(ValueError, KeyError):
        written = json.loads(files.read_text(target / METRICS_FILE))["table_sha256"]
        if written == sha256(files.read_bytes(table)).hexdigest():
            return
    raise UserError(f"{table} was edited since it was written: move it away, or take another --name")


def _read(loaded: runs.LoadedModel, data: Data, folder: str, splits: list[str]) -> _Photos:
    network = feature_cache.network(loaded)
    kept = num_features(loaded.config.model, NUM_BLOCKS)

    def make(split: str) -> dict[str, np.ndarray]:
        found = eval_step.score(loaded, data, split, with_features=True).features
        assert found is not None
        return {"features": found[:, :kept]}

    features = [
        feature_cache.keep("audit", data, [split, kept, network], functools.partial(make, split))["features"]
        for split in splits
    ]
    names = [data.photo_ids(split) for split in splits]
    if not all(names):
        raise UserError(f"an audit needs the names of the photos, and the lists in {folder} are gone or of others")
    return _Photos(
        list(itertools.chain(*names)),
        [(split, number) for split, of_split in zip(splits, names, strict=True) for number in range(len(of_split))],
        np.concatenate([data.labels(split) for split in splits]),
        np.concatenate(features),
        photo_lists.groups(folder),
    )


def _answer(photos: _Photos, num_classes: int, species: tuple[str, ...]) -> _Answers:
    labels = photos.labels
    if len(np.unique(labels)) < 2:
        raise UserError("an audit compares species, and the data set has photos of one alone")
    folds = folds_lib.assign(photos.names, [species[label] for label in labels], photos.groups, NUM_FOLDS)
    probabilities = linear_probe.out_of_fold(photos.features, labels, folds, num_classes)
    judged = np.zeros(len(labels), bool)
    for fold in range(NUM_FOLDS):
        judged |= (folds == fold) & np.isin(labels, labels[folds != fold])
    return _Answers(probabilities, linear_probe.margins(probabilities, labels), judged)


def _kept(photos: _Photos, card: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns columns of the table that the data set has from its source, so that training on the table keeps them."""
    columns = {
        "given_splits": ("split", [split for split, _ in photos.places]),
        "groups": ("group", [photos.groups.get(name, "") for name in photos.names]),
    }
    return dict(column for part, column in columns.items() if (card.get(part) or {}).get("by"))


def _table(
    photos: _Photos,
    answers: _Answers,
    accepted: np.ndarray,
    order: np.ndarray,
    species: tuple[str, ...],
    kept: Mapping[str, Sequence[str]],
) -> list[tuple[Any, ...]]:
    """Returns the header and a row per photo, the most doubtful first, as a label table for the builder."""
    rows: list[tuple[Any, ...]] = [
        ("filename", "label", "suspect", "proposed", "proposed_probability", "probability", "given", *kept)
    ]
    for number in order:
        label, answer = photos.labels[number], answers.probabilities[number].argmax()
        rows.append(
            (
                photos.names[number],
                species[answer if accepted[number] else label],
                "yes" if answers.suspect[number] else "no" if answers.judged[number] else "not judged",
                species[answer] if answers.suspect[number] else "",
                round(float(answers.probabilities[number, answer]), DECIMALS) if answers.suspect[number] else "",
                round(float(answers.probabilities[number, label]), DECIMALS),
                species[label],
                *(values[number] for values in kept.values()),
            )
        )
    return rows


def _pictured(
    run: runs.Run, data: Data, photos: _Photos, answers: _Answers, accepted: np.ndarray, numbers: list[int]
) -> list[Suspect]:
    """Returns the suspects of the page, each with the photos that are nearest by features and not of its group."""
    if not numbers:
        return []
    say(f"drawing the labels in doubt: {len(numbers):,}")
    scaled = linear_probe.standardised(photos.features)
    uris: dict[int, str] = {}

    def uri(number: int) -> str:
        if number not in uris:
            split, place = photos.places[number]
            [jpeg] = data.jpegs(split, [place])
            image, _ = photo.load(jpeg, run.config.build.image_size, run.config.build.max_pixels)
            uris[number] = to_uri(Image.fromarray(photo.central_crop(image, 1.0, SIDE)))
        return uris[number]

    suspects = []
    for number in numbers:
        distances = ((scaled - scaled[number]) ** 2).sum(axis=1)
        group = photos.groups.get(photos.names[number])
        others = [
            int(other)
            for other in np.argsort(distances, kind="stable")
            if other != number and (group is None or photos.groups.get(photos.names[other]) != group)
        ][:NUM_NEIGHBOURS]
        of_photo = answers.probabilities[number]
        suspects.append(
            Suspect(
                photos.names[number],
                data.species[photos.labels[number]],
                data.species[of_photo.argmax()],
                float(of_photo.max()),
                float(of_photo[photos.labels[number]]),
                bool(accepted[number]),
                uri(number),
                [Neighbour(photos.names[one], data.species[photos.labels[one]], uri(one)) for one in others],
            )
        )
    return suspects
