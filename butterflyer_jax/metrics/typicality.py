"""Typicality of an image among the training images: the score by which answers are refused."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Integer

FILE = "typicality.npz"
# Held-out images that a fit needs: fewer say nothing about a share of a twentieth.
MIN_VAL = 20
# Share of the mean variance in the covariance (Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4).
SHRINKAGE = 0.3
# Directions of the covariance that are kept, beside the rest taken together.
MAX_RANK = 256
# Ridge of the head, a share of the mean variance of its inputs.
RIDGE = 0.1
# Weights of relative distance, head and doubt in each sum, and the sum's share of the false refusals. The head knows
# nothing of species that are left out, so that in one sum alone either these or scenes pass.
SUMS = ((1.0, 0.25, 1.0), (0.5, 1.0, 0.0))
SUM_SHARES = (0.5, 0.5)
# Quantile of what the head says of held-out images, below which it is cut.
FLOOR = 0.25
# Standard deviations at which a feature is clipped.
CLIP = 8.0
# Of minus the logarithm of a probability; smaller ones are rounding of float32 logits.
SMALLEST_DOUBT = 1e-6
# The parts of a score that the terms of `SUMS` are made of: distance less reference, head, doubt.
_TERMS = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
_SMALLEST_STD = 1e-3
_SMALLEST_RIDGE = 1e-12
# Share of the largest eigenvalue below which one is rounding.
_SMALLEST_EIGENVALUE = 1e-12


@dataclass(frozen=True)
class Typicality:
    """A score, larger for less typical images, and the limit above which answers are refused.

    It is the largest of weighted sums of four parts.

    The first is the logarithm of the Mahalanobis distance from the nearest class, with one shrunk covariance (Lee et
    al. 2018, arXiv:1807.03888). The second is that of the distance from the mean of negatives, images that are drawn
    for it, in the same metric; its weight is minus that of the first: of a photo from another camera both are large,
    and their ratio says whether it is more like a class than like background (compare Ren et al. 2021,
    arXiv:2106.09022). The third is a linear head that separates training images from negatives (outlier exposure,
    Hendrycks et al. 2019, arXiv:1812.04606), fitted by ridge regression. The fourth is doubt, by the probability of the
    answer (Hendrycks & Gimpel 2017, arXiv:1610.02136).

    Attributes:
      mean, std: float32 [num_features], mean and standard deviation of the features of training images.
      class_means: float32 [num_classes, num_features], mean of the standardised features of each class.
      reference: float32 [num_features], mean of the standardised features of negatives.
      basis: float32 [rank, num_features], directions of the covariance.
      variances: float32 [rank], shrunk variances along these.
      rest: float32 [], shrunk variance along all other directions.
      head: float32 [num_features + 1], weights and bias of the linear head.
      floor: float32 [], lower bound of what the head says: far from the negatives is not yet typical.
      weights: float32 [num_sums, 4], of the parts in each sum; float64 in the one sum of an earlier version.
      offsets: float32 [num_sums], added to each sum.
      limit: float32 [], score above which an image is none of the species.
      step: int64 [], training step of the checkpoint.
    """

    mean: Float32[np.ndarray, " num_features"]
    std: Float32[np.ndarray, " num_features"]
    class_means: Float32[np.ndarray, "num_classes num_features"]
    reference: Float32[np.ndarray, " num_features"]
    basis: Float32[np.ndarray, "rank num_features"]
    variances: Float32[np.ndarray, " rank"]
    rest: Float32[np.ndarray, ""]
    head: Float32[np.ndarray, " num_features+1"]
    floor: Float32[np.ndarray, ""]
    weights: Float[np.ndarray, "num_sums 4"]
    offsets: Float32[np.ndarray, " num_sums"]
    limit: Float32[np.ndarray, ""]
    step: Integer[np.ndarray, ""]

    def score(
        self,
        features: Float[np.ndarray, "count num_features"],
        logits: Float[np.ndarray, "count num_classes"],
        left_out: Integer[np.ndarray, " count"] | None = None,
    ) -> Float64[np.ndarray, " count"]:
        """Returns float64 [count], larger for less typical images.

        Args:
          features: float [count, num_features], see `models.features`.
          logits: float [count, num_classes], of the network, without a temperature.
          left_out: int [count], a class that does not count for each image: its distance from it is infinite. The
            logit of that class has to be -inf.
        """
        sums: np.ndarray = self.weights.astype(np.float64) @ _parts(self, features, logits, left_out)
        largest: np.ndarray = (sums + self.offsets[:, None]).max(axis=0)
        return largest

    def refuses(
        self,
        features: Float[np.ndarray, "count num_features"],
        logits: Float[np.ndarray, "count num_classes"],
        left_out: Integer[np.ndarray, " count"] | None = None,
    ) -> Bool[np.ndarray, " count"]:
        """Returns bool [count]: whether images are none of the species; see `score`."""
        above: np.ndarray = self.score(features, logits, left_out) > float(self.limit)
        return above

    def to_bytes(self) -> bytes:
        """Returns the content of the file that a run keeps it in."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{item.name: getattr(self, item.name) for item in fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Typicality:
        """Returns what `to_bytes` wrote.

        Raises:
          ValueError, KeyError, OSError: the bytes were not written by `to_bytes`.
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            values = dict(arrays)
        if "scales" in values:
            values |= _of_one_sum(values.pop("scales"))
        if "reference" not in values:
            # Fitted before there was one.
            values |= {
                "reference": np.zeros_like(values["mean"]),
                "weights": np.insert(values["weights"], 1, 0, axis=1),
            }
        return cls(**{item.name: values[item.name] for item in fields(cls)})


def fit(
    features: Float[np.ndarray, "count num_features"],
    labels: Integer[np.ndarray, " count"],
    negatives: Float[np.ndarray, "num_negatives num_features"],
    held_out: Float[np.ndarray, "num_photos num_features"],
    held_out_logits: Float[np.ndarray, "num_photos num_classes"],
    *,
    num_held_out: int,
    false_refusals: float,
    step: int,
) -> Typicality:
    """Fits the score on training images, and chooses the limit on held-out ones.

    Args:
      features: float [count, num_features], features of training images, in other light and framing as well.
      labels: int [count], their labels.
      negatives: float [num_negatives, num_features], features of images that show none of the classes.
      held_out: float [num_photos, num_features], features of images of the classes that were not trained on.
      held_out_logits: float [num_photos, num_classes], logits of the network for these.
      num_held_out: number of different images among these.
      false_refusals: share of images of the classes that the limit may refuse.
      step: training step of the checkpoint.
    """
    mean, std = features.mean(axis=0), features.std(axis=0) + _SMALLEST_STD
    scaled = (features - mean) / std
    classes, places = np.unique(labels, return_inverse=True)
    class_means = np.stack([scaled[places == place].mean(axis=0) for place in range(len(classes))])
    basis, variances, average = _covariance(scaled - class_means[places])
    scaled_negatives = (negatives - mean) / std
    single = np.float32
    unscaled = Typicality(
        mean.astype(single),
        std.astype(single),
        class_means.astype(single),
        scaled_negatives.mean(axis=0).astype(single),
        basis.astype(single),
        ((1 - SHRINKAGE) * variances + SHRINKAGE * average).astype(single),
        np.asarray(SHRINKAGE * average, single),
        _fit_head(_clipped(scaled), _clipped(scaled_negatives)).astype(single),
        np.asarray(-np.inf, single),
        np.ones((1, 4), single),
        np.zeros(1, single),
        np.asarray(0, single),
        np.asarray(step, np.int64),
    )
    parts = _parts(unscaled, held_out, held_out_logits)
    floor = np.quantile(parts[2], FLOOR)
    parts[2] = np.maximum(parts[2], floor)
    # Few images settle a share loosely: two thirds of a standard error less, and half of it at least.
    error = np.sqrt(false_refusals * (1 - false_refusals) / num_held_out)
    share = max(false_refusals - 2 * error / 3, false_refusals / 2)
    weights = (np.array(SUMS) / np.maximum((_TERMS @ parts).std(axis=1), 1e-6)) @ _TERMS
    weights /= np.maximum((weights @ parts).std(axis=1, keepdims=True), 1e-6)
    sums = weights @ parts
    offsets = [-np.quantile(of_one, 1 - share * of_sum) for of_one, of_sum in zip(sums, SUM_SHARES, strict=True)]
    values = {item.name: getattr(unscaled, item.name) for item in fields(unscaled)}
    values |= {
        "weights": weights.astype(single),
        "offsets": np.array(offsets, single),
        "floor": np.asarray(floor, single),
    }
    limit = np.quantile(Typicality(**values).score(held_out, held_out_logits), 1 - share)
    return Typicality(**values | {"limit": np.asarray(limit, single)})


def _of_one_sum(scales: np.ndarray) -> dict[str, np.ndarray]:
    """Returns weights and offsets of a file that was written when there was one sum."""
    if scales.shape == (2,):
        # Fitted before doubt was a part of it, with a share of 0.25 for the distance.
        scales = np.append(scales * np.array([4, 1], np.float32), np.float32(np.inf))
    return {"weights": (1 / scales.astype(np.float64))[None], "offsets": np.zeros(1, np.float32)}


def _parts(
    typicality: Typicality, features: np.ndarray, logits: np.ndarray, left_out: np.ndarray | None = None
) -> np.ndarray:
    """Returns the four parts, float64 [4, count]: the logarithms of both distances, what the head says, and doubt."""
    scaled = ((features - typicality.mean) / typicality.std).astype(np.float64)
    # The reference last.
    means = np.concatenate([typicality.class_means, typicality.reference[None]]).astype(np.float64)
    basis = typicality.basis.astype(np.float64)
    # With P the inverse of the covariance, (x - m)'P(x - m) = x'Px - 2m'Px + m'Pm: two products, for any number of
    # classes.
    rest = 1 / np.float64(typicality.rest)
    along, weights = scaled @ basis.T, 1 / typicality.variances.astype(np.float64) - rest
    times_means = rest * means + (means @ basis.T * weights) @ basis
    square = rest * (scaled**2).sum(axis=1) + (along**2) @ weights
    from_means = square[:, None] - 2 * scaled @ times_means.T + (means * times_means).sum(axis=1)
    if left_out is not None:
        from_means[np.arange(len(left_out)), left_out] = np.inf
    near, far = (np.log(np.maximum(x, 1e-12)) for x in (from_means[:, :-1].min(axis=1), from_means[:, -1]))
    outlier = _clipped(scaled) @ typicality.head[:-1] + typicality.head[-1]
    return np.stack([near, far, np.maximum(outlier, typicality.floor), _doubt(logits)])


def _doubt(logits: np.ndarray) -> np.ndarray:
    """Returns log(-log(highest probability)), float64 [count]: near certainty, too, it still differs between images."""
    exact = logits.astype(np.float64)
    surprise = np.log(np.exp(exact - exact.max(axis=-1, keepdims=True)).sum(axis=-1))
    doubt: np.ndarray = np.log(np.maximum(surprise, SMALLEST_DOUBT))
    return doubt


def _clipped(scaled: np.ndarray) -> np.ndarray:
    return scaled.clip(-CLIP, CLIP)


def _covariance(residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the directions of largest variance, [rank, num_features], the variances along these, and the mean one.

    By the eigenvectors of the smaller of the two products of the residuals with themselves, a third of the time of a
    singular value decomposition. Directions without any variance are left out: the rest describes them as well.
    """
    # Imported here, not above: reading a file that was fitted needs no SciPy.
    from scipy.linalg import eigh

    exact = residuals.astype(np.float64)
    count, num_features = exact.shape
    of_features = num_features <= count
    product = exact.T @ exact if of_features else exact @ exact.T
    size = len(product)
    values, vectors = eigh(product, subset_by_index=[max(size - MAX_RANK, 0), size - 1])
    kept = values > _SMALLEST_EIGENVALUE * values[-1]
    # The largest first.
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    basis = vectors.T if of_features else (exact.T @ vectors / np.sqrt(values)).T
    return basis, values / count, float((exact**2).sum() / count / num_features)


def _fit_head(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Returns weights and bias of a ridge regression to -1 of positives and 1 of negatives; both sides weigh the same.

    Of the two systems of equations that give the same weights, the smaller one is solved.
    """
    # Imported here, not above: reading a file that was fitted needs no SciPy.
    from scipy.linalg import solve

    inputs = np.concatenate([positives, negatives]).astype(np.float64)
    targets = np.repeat([-1.0, 1.0], [len(positives), len(negatives)])
    weights = np.repeat([0.5 / len(positives), 0.5 / len(negatives)], [len(positives), len(negatives)])
    # The targets' weighted mean is 0.
    mean, scales = weights @ inputs, np.sqrt(weights)
    rows, wanted = (inputs - mean) * scales[:, None], targets * scales
    count, num_features = rows.shape
    of_features = num_features <= count
    product = rows.T @ rows if of_features else rows @ rows.T
    product[np.diag_indices(len(product))] += max(RIDGE * np.trace(product) / num_features, _SMALLEST_RIDGE)
    if of_features:
        found = solve(product, rows.T @ wanted, assume_a="pos")
    else:
        found = rows.T @ solve(product, wanted, assume_a="pos")
    return np.append(found, -mean @ found)
