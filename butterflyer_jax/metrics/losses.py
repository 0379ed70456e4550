"""Cross-entropy losses and class weights."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
import optax
from jaxtyping import Float, Integer


def cross_entropy(
    logits: Float[jax.Array, "batch num_classes"], labels: Integer[jax.Array, " batch"], label_smoothing: float = 0.0
) -> Float[jax.Array, " batch"]:
    """Returns the cross-entropy of each image, in nats.

    Args:
      logits: float32 [batch, num_classes].
      labels: int32 [batch].
      label_smoothing: probability spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567).

    Returns:
      float32 [batch].
    """
    result: jax.Array
    if not label_smoothing:
        result = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return result
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    result = optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))
    return result


def weighted_cross_entropy(
    logits: Float[jax.Array, "batch num_classes"],
    labels: Integer[jax.Array, " batch"],
    label_smoothing: float,
    class_weights: Float[jax.Array, " num_classes"] | None,
) -> Float[jax.Array, " batch"]:
    """Returns `cross_entropy` of each image times the weight of its label.

    Args:
      logits: float32 [batch, num_classes].
      labels: int32 [batch].
      label_smoothing: probability spread evenly over all classes.
      class_weights: float32 [num_classes]; None weighs all classes alike.

    Returns:
      float32 [batch].
    """
    loss = cross_entropy(logits, labels, label_smoothing)
    return loss if class_weights is None else loss * class_weights[labels]


def uniform_divergence(logits: Float[jax.Array, "batch num_classes"]) -> Float[jax.Array, " batch"]:
    """Returns how far the answer for each image is from the same probability for every class, in nats.

    The Kullback-Leibler divergence of the answer from the uniform distribution: outlier exposure (Hendrycks et al.
    2019, arXiv:1812.04606) without its constant, so that no answer at all costs 0.

    Args:
      logits: float32 [batch, num_classes].

    Returns:
      float32 [batch].
    """
    return -jax.nn.log_softmax(logits).mean(axis=-1) - np.log(logits.shape[-1])


def class_weights(counts: Sequence[int], balance: float) -> Float[np.ndarray, " num_classes"]:
    """Returns the weights of the classes in the training loss.

    Weights are proportional to n**-balance, n the number of images of a class, and their mean over all images is 1.
    With a balance of 0 every image counts the same, with 1 every class; 0.5 is the square root of Mahajan et al. 2018
    (arXiv:1805.00932).

    Args:
      counts: number of training images of each class; a class without any gets 0.
      balance: exponent from 0 to 1.

    Returns:
      float32 [num_classes].
    """
    n = np.asarray(counts, np.float64)
    weights = np.where(n > 0, np.maximum(n, 1) ** -balance, 0)
    return (weights * n.sum() / (weights * n).sum()).astype(np.float32)
