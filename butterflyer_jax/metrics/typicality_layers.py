"""The score of `typicality` as layers of a network, which any runtime computes in float32."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from butterflyer_jax.metrics.typicality import CLIP, SMALLEST_DOUBT, Typicality

# Of the distance, before its logarithm.
SMALLEST_DISTANCE = 1e-12
# Below it the logarithm of 1 + x is taken by its series: in float32, 1 + x has lost too much of x.
SERIES_BELOW = 0.01


@dataclass(frozen=True)
class TypicalityLayers:
    """Constants of the score, arranged as the layers of a network.

    With P the inverse of the shrunk covariance, the distance of x from the mean m of a class is x'Px - 2m'Px + m'Pm,
    of which only the first term is quadratic in x.

    Attributes:
      scale, offset: float32 [num_features]; `features * scale + offset` standardises features.
      rest: weight of the squared features in x'Px.
      basis: float32 [num_features, rank], directions of the covariance.
      weights: float32 [rank], of the squares along these in x'Px.
      classes, class_offsets: float32 [num_features, num_classes] and [num_classes], the linear terms of each class.
      reference, reference_offset: float32 [num_features, 1] and [1], those of the reference.
      head, head_offset: float32 [num_features, 1] and [1], of the logit.
      floor: smallest logit.
      sums: for each sum its weights of the logarithms of both distances, of the logit and of doubt, and its offset.
      limit: score above which an image is none of the species.
    """

    scale: Float32[np.ndarray, " num_features"]
    offset: Float32[np.ndarray, " num_features"]
    rest: float
    basis: Float32[np.ndarray, "num_features rank"]
    weights: Float32[np.ndarray, " rank"]
    classes: Float32[np.ndarray, "num_features num_classes"]
    class_offsets: Float32[np.ndarray, " num_classes"]
    reference: Float32[np.ndarray, "num_features 1"]
    reference_offset: Float32[np.ndarray, 1]
    head: Float32[np.ndarray, "num_features 1"]
    head_offset: Float32[np.ndarray, 1]
    floor: float
    sums: tuple[tuple[float, float, float, float, float], ...]
    limit: float


def to_layers(typicality: Typicality) -> TypicalityLayers:
    """Returns the layers that compute the score of a typicality."""
    std, basis = typicality.std.astype(np.float64), typicality.basis.astype(np.float64)
    rest = 1 / float(typicality.rest)
    # The reference last.
    means = np.concatenate([typicality.class_means, typicality.reference[None]]).astype(np.float64)
    weights = 1 / typicality.variances.astype(np.float64) - rest
    # P times each mean.
    inverse = rest * means + (means @ basis.T * weights) @ basis
    linear, offsets = (-2 * inverse.T).astype(np.float32), (means * inverse).sum(axis=1).astype(np.float32)
    rows = np.concatenate([typicality.weights, typicality.offsets[:, None]], axis=1).tolist()
    return TypicalityLayers(
        (1 / std).astype(np.float32),
        (-typicality.mean / std).astype(np.float32),
        rest,
        basis.T.astype(np.float32),
        weights.astype(np.float32),
        linear[:, :-1],
        offsets[:-1],
        linear[:, -1:],
        offsets[-1:],
        typicality.head[:-1, None].astype(np.float32),
        typicality.head[-1:].astype(np.float32),
        float(typicality.floor),
        tuple((distance, reference, logit, doubt, offset) for distance, reference, logit, doubt, offset in rows),
        float(typicality.limit),
    )


def score(xp: Any, layers: TypicalityLayers, features: Any, logits: Any) -> Any:
    """Returns the score in float32, as `Typicality.score` does in float64.

    Args:
      xp: `numpy`, or a module with its functions, such as `jax.numpy`.
      layers: what `to_layers` returned.
      features: float32 [batch, num_features].
      logits: float32 [batch, num_classes], without a temperature.

    Returns:
      float32 [batch].
    """
    x = features * layers.scale + layers.offset
    along = xp.matmul(x, layers.basis)
    square = layers.rest * xp.sum(x * x, axis=-1) + xp.sum(along * along * layers.weights, axis=-1)
    distance = square + xp.min(xp.matmul(x, layers.classes) + layers.class_offsets, axis=-1)
    reference = square + (xp.matmul(x, layers.reference) + layers.reference_offset)[:, 0]
    near, far = (xp.log(xp.maximum(one, SMALLEST_DISTANCE)) for one in (distance, reference))
    logit = (xp.matmul(xp.clip(x, -CLIP, CLIP), layers.head) + layers.head_offset)[:, 0]
    logit, doubt = xp.maximum(logit, layers.floor), _doubt(xp, logits)
    sums = (a * near + b * far + c * logit + d * doubt + e for a, b, c, d, e in layers.sums)
    return functools.reduce(xp.maximum, sums)


def _doubt(xp: Any, logits: Any) -> Any:
    highest = xp.max(logits, axis=-1, keepdims=True)
    powers = xp.exp(logits - highest)
    others = xp.where(logits < highest, powers, 0 * powers)
    # 1 of the highest, and of each that equals it.
    equals = xp.where(logits < highest, 0 * powers, powers)
    x = xp.sum(others, axis=-1) + (xp.sum(equals, axis=-1) - 1.0)
    surprise = xp.where(x < SERIES_BELOW, x * (1.0 - x * (0.5 - x / 3.0)), xp.log(1.0 + x))
    return xp.log(xp.maximum(surprise, SMALLEST_DOUBT))
