"""The loss."""

from __future__ import annotations

import jax
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0) -> jax.Array:
    """Returns the cross-entropy of each photograph, in nats.

    Args:
      logits: float32 [batch, num_classes].
      labels: int32 [batch].
      label_smoothing: probability spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567).

    Returns:
      float32 [batch].
    """
    if not label_smoothing:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))
