"""The choice of example photos, and of the species that look alike, for the application."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64, Integer
from PIL import Image

from butterflyer_jax import runs
from butterflyer_jax.console import say
from butterflyer_jax.data.protocol import Data
from butterflyer_jax.evaluation import eval_step, feature_cache
from butterflyer_jax.evaluation.photo_features import last_layer, look_below, read_photos
from butterflyer_jax.runs import examples
from butterflyer_jax.runs.examples import Examples

# Training photos that are looked at: of one species, and of all.
MAX_OF_SPECIES, MAX_PHOTOS = 48, 3000
# Longer side, pixels: a third of a telephone's screen, at its density.
LONGER_SIDE = 320
QUALITY = 80
MAX_LOOK_ALIKES = 3
# Mean probability that photos of one species give to another, from which on they look alike.
CONFUSED = 0.01
# Standard deviation that a feature is divided by at least: one that never varies says nothing.
_SMALLEST_STD = 1e-3


def choose(loaded: runs.LoadedModel, data: Data, reuse: bool = False) -> Examples | None:
    """Returns the examples of a checkpoint; chooses them and writes `examples.zip` where there are none yet.

    Args:
      loaded: the model of a run; the run folder gets the file.
      data: the run's open data set.
      reuse: whether features of training photos come from the cache, and go there; see `feature_cache`.

    Returns:
      None where the config switches them off.
    """
    count = loaded.config.examples.photos_per_species
    if not count:
        return None
    known = examples.read(loaded.run)
    if known and (known.step, known.photos_per_species) == (loaded.step, count):
        return known
    start = time.perf_counter()
    labels = data.labels("train")
    rng = np.random.default_rng([loaded.config.seed, loaded.step])
    limit = max(count, min(MAX_OF_SPECIES, MAX_PHOTOS // len(data.species)))
    of_species = [rng.permutation(np.flatnonzero(labels == label))[:limit] for label in range(len(data.species))]
    numbers = np.concatenate(of_species)

    def see() -> dict[str, np.ndarray]:
        inputs, features = look_below(loaded, read_photos(data, "train", numbers))
        return {"inputs": inputs, "features": features}

    depends_on = [numbers.tolist(), feature_cache.network(loaded)] if reuse else []
    seen = feature_cache.keep("examples", data, depends_on, see) if reuse else see()
    logits, features = last_layer(loaded).logits(seen["inputs"]), seen["features"]
    scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), _SMALLEST_STD)
    is_right = logits.argmax(axis=1) == labels[numbers]
    photos, place = {}, 0
    for species, own in zip(data.species, of_species, strict=True):
        mine = np.arange(place, place + len(own))
        place += len(own)
        # Of a species that is never recognised, any photo shows what it is.
        candidates = mine[is_right[mine]] if is_right[mine].any() else mine
        typical = numbers[candidates[most_typical(scaled[candidates], count)]]
        photos[species] = tuple(_small(photo) for photo in read_photos(data, "train", typical))
    found = Examples(photos, _look_alikes(loaded, data), count, loaded.step)
    examples.write(loaded.run, found)
    say(f"examples: {sum(map(len, photos.values()))} photos, {time.perf_counter() - start:.0f} s")
    return found


def most_typical(features: Float[np.ndarray, "num_images num_features"], count: int) -> Int64[np.ndarray, " _"]:
    """Returns the places of at most `count` images: of each of as many groups of similar ones, the central one.

    The groups come by k-means, so that the wings' upper and lower sides, for instance, both have their photo.

    Args:
      features: float [num_images, num_features].
      count: number of images.

    Returns:
      int64 [at most count], that of the largest group first.
    """
    if len(features) <= count:
        return np.arange(len(features))
    # Imported here, not above: examples are chosen once for a checkpoint, and SciPy takes time to import.
    from scipy.cluster.vq import kmeans2

    centres, groups = kmeans2(features.astype(np.float64), count, minit="++", rng=np.random.default_rng(0))
    sizes = np.bincount(groups, minlength=count)
    found = []
    for group in np.argsort(-sizes, kind="stable"):
        members = np.flatnonzero(groups == group)
        if len(members):
            distances = np.linalg.norm(features[members] - centres[group], axis=1)
            found.append(members[distances.argmin()])
    return np.array(found)


def _look_alikes(loaded: runs.LoadedModel, data: Data) -> dict[str, tuple[str, ...]]:
    if not data.num_photos("val"):
        return dict.fromkeys(data.species, ())
    scored = eval_step.score(loaded, data, "val", with_features=loaded.config.refusal.typicality)
    probabilities = loaded.calibration().probabilities(scored.logits)
    return look_alikes(probabilities, scored.labels, data.species)


def look_alikes(
    probabilities: Float[np.ndarray, "count num_species"], labels: Integer[np.ndarray, " count"], species: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Returns for each species those that the network confuses it with, the most confused one first.

    Args:
      probabilities: float [count, num_species], of held-out photos.
      labels: int [count], their species.
      species: names of the species, in the order of the labels.
    """
    counts = np.maximum(np.bincount(labels, minlength=len(species)), 1)
    given = np.zeros((len(species), len(species)))
    np.add.at(given, labels, probabilities)
    given /= counts[:, None]
    # In both ways: a photo of one that is called the other, and the reverse.
    confused = given + given.T
    np.fill_diagonal(confused, 0)
    return {
        name: tuple(
            species[other] for other in np.argsort(-row, kind="stable")[:MAX_LOOK_ALIKES] if row[other] >= CONFUSED
        )
        for name, row in zip(species, confused, strict=True)
    }


def _small(photo: Image.Image) -> bytes:
    photo.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
