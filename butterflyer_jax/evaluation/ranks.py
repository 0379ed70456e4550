"""The ranks of a run: its taxonomy, and the thresholds that are chosen on val."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data import dataset as dataset_lib
from butterflyer_jax.data import taxonomy
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.evaluation import refusal
from butterflyer_jax.evaluation.eval_step import Scored
from butterflyer_jax.evaluation.predictions import Predictions
from butterflyer_jax.metrics import ranks
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.metrics.ranks import Answer, Ranks
from butterflyer_jax.metrics.typicality import Typicality
from butterflyer_jax.storage import files, paths

# Fewer cannot show a precision of 95%.
MIN_VAL = 20


def fit(
    loaded: runs.LoadedModel,
    data: Data,
    dataset: str,
    calibrated: Calibration,
    typical: Typicality | None,
    val: Callable[[], Scored],
    keep: bool = True,
) -> Ranks | None:
    """Returns the ranks of a checkpoint; fits them and writes `ranks.json` where they are not there yet.

    Args:
      loaded: the model of a run; the run folder gets the file.
      data: the run's open data set.
      dataset: its folder.
      calibrated: temperature of the answers.
      typical: what refuses images; None for the threshold of the probability.
      val: scores the val photos, with features if there is a typicality.
      keep: whether to write the file.

    Returns:
      None where no taxonomy is known, or there are fewer than 20 val photos.

    Raises:
      UserError: the table of the taxonomy is not there, or does not fit.
    """
    config, species = loaded.config.ranks, loaded.run.species
    if data.num_photos("val") < MIN_VAL:
        return None
    known = loaded.ranks()
    usable = known if known and known.precision == config.precision else None
    if usable and config.taxonomy and not files.exists(paths.path(config.taxonomy)):
        # The run has what the table said.
        return usable
    taxa = taxonomy.find(species, dataset_lib.card(dataset), config.taxonomy)
    if usable and {rank.name: rank.taxa for rank in usable.ranks[1:]} == taxa:
        return usable
    file = loaded.run.folder / ranks.FILE
    if not taxa:
        if known and keep:
            files.remove(file)
        return None
    scored = val()
    kept = ~refusal.refused(calibrated, typical, scored.logits, scored.features)
    probabilities, labels = calibrated.probabilities(scored.logits)[kept], scored.labels[kept]
    found = ranks.fit(probabilities, labels, species, taxa, config.precision, loaded.step)
    if keep:
        files.write_text(file, found.to_json())
    _say_found(found, probabilities, labels)
    return found


def _say_found(
    found: Ranks, probabilities: Float64[np.ndarray, "count num_species"], labels: Int32[np.ndarray, " count"]
) -> None:
    """Logs which ranks answer; where none does, how many of the sure answers to val photos are right."""
    above = ", ".join(rank.name for rank in found.ranks[1:])
    share = f"right {found.precision:.0%} of the time"
    if any(rank.threshold is not None for rank in found.ranks):
        say(f"ranks: species, {above}; answered by the lowest that is {share}, on {found.count} val photos")
        return
    sure = probabilities.max(axis=1) >= ranks.MIN_PROBABILITY
    right = int((probabilities.argmax(axis=1) == labels)[sure].sum())
    low, high = wilson(right, int(sure.sum()))
    say(
        f"ranks: {found.count} val photos do not show that species, {above} are {share}, so every answer "
        "is 'not sure, perhaps' a species: more photos help, or a smaller --config.ranks.precision; of the "
        f"{sure.sum()} with {ranks.MIN_PROBABILITY:.0%} or more {right} are right ({low:.0%} to {high:.0%})"
    )


def answer(
    found: Ranks,
    scored: Predictions,
    calibrated: Calibration,
    listed: Bool[np.ndarray, " num_species"] | None = None,
) -> list[Answer]:
    """Returns the answers to the photos of an evaluation, each at the lowest rank that is sure enough."""
    return found.answer(calibrated.probabilities(scored.logits), scored.refused, listed)


def metrics(
    found: Ranks, scored: Predictions, known: Bool[np.ndarray, " count"], data: Data, dataset: str
) -> dict[str, Any]:
    """Returns how many photos get an answer of each rank, and how many of these answers are right.

    Args:
      found: the ranks of the run.
      scored: the photos with their answers.
      known: bool [count], photos of species that the run knows.
      data: open data set of the photos.
      dataset: its folder; its data card and names give the taxa of species that the run does not know.

    Returns:
      precision, which the thresholds were chosen for; and, of known and of unknown species, a row for each rank, the
      species first: rank, threshold, count, share of all photos, right, precision (None without answers) and interval,
      Wilson's of 95%.
    """
    assert scored.answers is not None
    above = dict(zip(data.species, taxonomy.of_names(data.species, dataset_lib.card(dataset)), strict=True))
    pairs: dict[str, list[tuple[Answer, Mapping[str, str]]]] = {"known": [], "unknown": []}
    for given, label, name, is_known in zip(scored.answers, scored.labels, scored.names, known, strict=True):
        if is_known:
            pairs["known"].append((given, {rank.name: rank.taxa[label] for rank in found.ranks}))
        else:
            pairs["unknown"].append((given, above[name]))
    return {"precision": found.precision} | {name: _rows(found, of_group) for name, of_group in pairs.items()}


def _rows(found: Ranks, pairs: Sequence[tuple[Answer, Mapping[str, str]]]) -> list[dict[str, Any]]:
    rows = []
    for rank in found.ranks:
        of_rank = [given.taxon == own.get(rank.name) for given, own in pairs if given.rank == rank.name]
        count, right = len(of_rank), sum(of_rank)
        rows.append(
            {
                "rank": rank.name,
                "threshold": rank.threshold,
                "count": count,
                "share": count / len(pairs) if pairs else 0.0,
                "right": right,
                "precision": right / count if count else None,
                "interval": wilson(right, count),
            }
        )
    return rows
