"""Out-of-fold probabilities of a linear probe, and the margins by which they doubt a label."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64, Integer

from butterflyer_jax.metrics.calibration import softmax

# Of the mean cross-entropy, beside it.
PENALTY = 0.1
# Standard deviations at which a feature is clipped.
CLIP = 8.0
_SMALLEST_STD = 1e-3
_MAX_ITERATIONS = 100


def standardised(
    features: Float[np.ndarray, "count num_features"], of: Float[np.ndarray, "n num_features"] | None = None
) -> Float32[np.ndarray, "count num_features"]:
    """Returns features with mean 0 and standard deviation 1, clipped at 8 of these, float32 [count, num_features].

    Args:
      features: float [count, num_features].
      of: float [n, num_features], whose mean and standard deviation count; by default the features themselves.
    """
    of = features if of is None else of
    scaled = (features - of.mean(axis=0)) / (of.std(axis=0) + _SMALLEST_STD)
    return scaled.clip(-CLIP, CLIP).astype(np.float32)


def out_of_fold(
    features: Float[np.ndarray, "count num_features"],
    labels: Integer[np.ndarray, " count"],
    folds: Integer[np.ndarray, " count"],
    num_classes: int,
) -> Float64[np.ndarray, "count num_classes"]:
    """Returns the probabilities of each image by a probe that was fitted on the images of all other folds.

    The probe is a multinomial logistic regression on standardised features, with an L2 penalty.

    Args:
      features: float [count, num_features].
      labels: int [count], from 0 to num_classes - 1.
      folds: int [count], fold of each image.
      num_classes: number of classes.

    Returns:
      float64 [count, num_classes]; 0 for a class that has no image in the other folds.
    """
    probabilities = np.zeros((len(features), num_classes))
    for fold in np.unique(folds):
        train, held_out = folds != fold, folds == fold
        classes, places = np.unique(labels[train], return_inverse=True)
        weights = fit(with_bias(standardised(features[train])), places, len(classes))
        logits = with_bias(standardised(features[held_out], of=features[train])) @ weights
        probabilities[np.ix_(held_out, classes)] = softmax(logits)
    return probabilities


def margins(
    probabilities: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"]
) -> Float[np.ndarray, " count"]:
    """Returns the probability of each label less that of the likeliest other class, float64 [count] from -1 to 1.

    Wrong labels have the smallest: the normalised margin of Northcutt et al. 2021 (arXiv:1911.00068).

    Args:
      probabilities: float [count, num_classes], out of fold.
      labels: int [count].
    """
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    return probabilities[rows, labels] - others.max(axis=1)


def with_bias(
    features: Float32[np.ndarray, "count num_features"],
) -> Float32[np.ndarray, "count num_features+1"]:
    """Returns features with a last one that is 1, float32 [count, num_features + 1]."""
    return np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)


def fit(
    inputs: Float32[np.ndarray, "count num_inputs"],
    labels: Integer[np.ndarray, " count"],
    num_classes: int,
    penalty: float = PENALTY,
) -> Float32[np.ndarray, "num_inputs {num_classes}"]:
    """Returns the weights and biases of a multinomial logistic regression, float32 [num_features + 1, num_classes].

    Args:
      inputs: float32 [count, num_features + 1]; see `with_bias`.
      labels: int [count], from 0 to num_classes - 1.
      num_classes: number of classes.
      penalty: factor of the squared weights, beside the mean cross-entropy.
    """
    # Imported here, not above: most trainings fit no probe, and SciPy takes time to import.
    from scipy.optimize import minimize

    rows = np.arange(len(labels))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, num_classes)
        probabilities = softmax(inputs @ weights.astype(np.float32))
        own = np.maximum(probabilities[rows, labels], np.finfo(np.float64).tiny)
        value = -np.log(own).mean() + penalty * (weights[:-1] ** 2).sum()
        errors = probabilities
        errors[rows, labels] -= 1
        gradient = (inputs.T @ (errors / len(labels)).astype(np.float32)).astype(np.float64)
        gradient[:-1] += 2 * penalty * weights[:-1]
        return float(value), gradient.ravel()

    start = np.zeros(inputs.shape[1] * num_classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS})
    return found.x.reshape(-1, num_classes).astype(np.float32)
