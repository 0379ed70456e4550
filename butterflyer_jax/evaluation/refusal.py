"""The typicality of a run, fitted on its own photos and on negatives that are drawn from them."""

from __future__ import annotations

import collections
import inspect
import itertools
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Integer
from PIL import Image

from butterflyer_jax import cores, runs
from butterflyer_jax.console import say
from butterflyer_jax.data import negative_drawings, negatives
from butterflyer_jax.data.ingest.words import NEGATIVES
from butterflyer_jax.data.negative_drawings import Drawing
from butterflyer_jax.data.negatives import plan_negative, plan_shift, plan_view
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.evaluation import feature_cache
from butterflyer_jax.evaluation.eval_step import Scored
from butterflyer_jax.evaluation.photo_features import last_layer, look_below, read_photos
from butterflyer_jax.metrics import typicality
from butterflyer_jax.metrics.calibration import Calibration
from butterflyer_jax.metrics.classification import wilson
from butterflyer_jax.metrics.typicality import Typicality
from butterflyer_jax.storage import files

# Photos that the scores are fitted on, and that the limit is chosen on; more change little.
MAX_TRAIN, MAX_VAL = 2000, 1000
# Training photos of a species that are taken first: without any, its photos would be refused as unlike all others.
MIN_OF_SPECIES = 5
# Of other pictures 600 refuse 3 points less (Leeds); 4,500 gain nothing that exceeds the spread from draw to draw.
NUM_NEGATIVES = 1500
# Drawings that are made ahead of those that are looked at.
AHEAD = 128


def fit(loaded: runs.LoadedModel, data: Data, keep: bool = True, reuse: bool = False) -> Typicality | None:
    """Returns the typicality of a checkpoint; fits it and writes `typicality.npz` where there is none yet.

    Args:
      loaded: the model of a run; the run folder gets the file.
      data: the run's open data set.
      keep: whether to write the file.
      reuse: whether features of training photos and negatives come from the cache, and go there; see `feature_cache`.

    Returns:
      None where the config switches it off, or there are fewer than 20 val photos.
    """
    config = loaded.config
    if not config.refusal.typicality or data.num_photos("val") < typicality.MIN_VAL:
        return None
    if known := loaded.typicality():
        return known
    start = time.perf_counter()
    seed = [config.seed, loaded.step]
    if reuse:
        # How negatives are drawn may change within a version.
        drawing = inspect.getsource(negatives) + inspect.getsource(negative_drawings)
        depends_on = [seed, MAX_TRAIN, MIN_OF_SPECIES, MAX_VAL, NUM_NEGATIVES, drawing, feature_cache.network(loaded)]
        seen = feature_cache.keep("typicality", data, depends_on, lambda: _see(loaded, data, seed))
    else:
        seen = _see(loaded, data, seed)
    found = typicality.fit(
        seen["features"],
        seen["labels"],
        seen["negatives"],
        seen["held_out"],
        last_layer(loaded).logits(seen["held_out_inputs"]),
        num_held_out=min(MAX_VAL, data.num_photos("val")),
        false_refusals=config.refusal.false_refusals,
        step=loaded.step,
    )
    if keep:
        files.write_bytes(loaded.run.folder / typicality.FILE, found.to_bytes())
    share = config.refusal.false_refusals
    say(
        f"typicality: fitted to refuse at most {share:.0%} of photos of known species, "
        f"{time.perf_counter() - start:.0f} s"
    )
    return found


def _see(loaded: runs.LoadedModel, data: Data, seed: list[int]) -> dict[str, np.ndarray]:
    """Returns all that the fit takes of photos, and that does not depend on the last layer."""
    rng = np.random.default_rng(seed)
    labels = data.labels("train")
    train = some_of_each(labels, MAX_TRAIN, rng)
    photos = list(read_photos(data, "train", train))
    # Each as it is and as another camera may see it, so that a change of light or framing alone is nothing new.
    seen_otherwise = in_threads(plan_view(one, photos[int(rng.integers(len(photos)))], rng) for one in photos)
    _, features = look_below(loaded, itertools.chain(photos, seen_otherwise))
    of_user = rng.permutation(data.num_photos(NEGATIVES))[:MAX_TRAIN]
    # Of whole photos: what stands around a box is background too.
    whole = photos if data.frames("train") is None else list(read_photos(data, "train", train, framed=False))
    drawn = in_threads(plan_negative(whole[n % len(whole)], rng) for n in range(NUM_NEGATIVES))
    of_user_photos = read_photos(data, NEGATIVES, of_user) if len(of_user) else ()
    _, of_negatives = look_below(loaded, itertools.chain(drawn, of_user_photos))
    val = list(read_photos(data, "val", rng.permutation(data.num_photos("val"))[:MAX_VAL]))
    shifted = in_threads(plan_shift(one, rng) for _ in range(3) for one in val)
    inputs, held_out = look_below(loaded, itertools.chain(val, shifted))
    return {
        "features": features,
        "labels": np.tile(labels[train], 2),
        "negatives": of_negatives,
        "held_out": held_out,
        "held_out_inputs": inputs,
    }


def some_of_each(
    labels: Integer[np.ndarray, " count"], most: int, rng: np.random.Generator
) -> Integer[np.ndarray, " _"]:
    """Returns the places of at most `most` images in random order, with `MIN_OF_SPECIES` of each species if they fit.

    Args:
      labels: int [count].
      most: number of images above which some are left out.
      rng: generator of the order.

    Returns:
      int [min(count, most)].
    """
    order = rng.permutation(len(labels))
    by_species = np.argsort(labels[order], kind="stable")
    sorted_labels = labels[order][by_species]
    # Number of images of the same species before each one.
    before = np.empty(len(order), np.int64)
    before[by_species] = np.arange(len(order)) - np.searchsorted(sorted_labels, sorted_labels)
    chosen = np.argsort(np.minimum(before, MIN_OF_SPECIES), kind="stable")[:most]
    return order[np.sort(chosen)]


def refused(
    calibrated: Calibration,
    typical: Typicality | None,
    logits: Float32[np.ndarray, "count num_classes"],
    features: Float32[np.ndarray, "count num_features"] | None,
    left_out: Integer[np.ndarray, " count"] | None = None,
) -> Bool[np.ndarray, " count"]:
    """Returns bool [count]: whether images are none of the species.

    Args:
      calibrated: threshold of the probability, which refuses without a typicality.
      typical: what refuses images; None for the threshold.
      logits: float32 [count, num_classes].
      features: float32 [count, num_features], see `models.features`; needed with a typicality alone.
      left_out: int [count], a species that does not count for each image; its logit has to be -inf.
    """
    if typical is None:
        return calibrated.probabilities(logits).max(axis=1) < calibrated.threshold
    assert features is not None
    return typical.refuses(features, logits, left_out)


def left_out(
    calibrated: Calibration,
    typical: Typicality | None,
    scored: Scored,
    split: str,
) -> dict[str, Any] | None:
    """Returns how many photos are refused when their own species is left out of the answers.

    The network has learned these species all the same, so that of others it refuses fewer, as a rule: see
    docs/guides/field-photographs.md.

    Args:
      calibrated: threshold and temperature of the probabilities.
      typical: what refuses images; None for the threshold.
      scored: photos of the run's own, with features if there is a typicality.
      split: their split.

    Returns:
      split, count, refused, and interval, Wilson's of 95%. None where there is no photo, fewer than two other species
      are left, or the typicality lacks a species.
    """
    logits, labels = scored.logits, scored.labels
    num_classes = logits.shape[1]
    if not len(labels) or num_classes < 3 or (typical is not None and len(typical.class_means) < num_classes):
        return None
    others = logits.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    count = int(refused(calibrated, typical, others, scored.features, labels).sum())
    return {"split": split, "count": len(labels), "refused": count, "interval": wilson(count, len(labels))}


def in_threads(drawings: Iterable[Drawing]) -> Iterator[Image.Image]:
    """Yields the images of drawings, in their order; several threads make them ahead."""
    with ThreadPoolExecutor(min(8, cores.usable()), "butterflyer-drawings") as pool:
        under_way: collections.deque[Future[Image.Image]] = collections.deque()
        for drawing in drawings:
            under_way.append(pool.submit(drawing))
            if len(under_way) > AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
