"""Refit of a network's last layer on its inputs: a logistic regression that starts from the layer and stays near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Integer
from scipy.optimize import minimize

from butterflyer_jax.metrics.calibration import softmax

# Penalties of moving away from the layer, of the mean cross-entropy beside them; one is chosen.
PENALTIES = (1.0, 0.1, 0.01, 1e-3)
# Training photos that a correction counts as; one is chosen.
WEIGHTS = (1.0, 5.0)
_FOLDS = 5
_MAX_ITERATIONS = 100
# OpenBLAS divides larger products among threads, which wait for each other by spinning: on a busy machine that took
# ten times the processor time of the product. A product of more blocks than `_MAX_BLOCKS` gains from threads.
_SMALL_PRODUCT = 2**17
_MAX_BLOCKS = 64


@dataclass(frozen=True)
class Images:
    """Images as the last layer sees them.

    Attributes:
      inputs: float32 [count, width].
      labels: int [count].
    """

    inputs: Float32[np.ndarray, "count width"]
    labels: Integer[np.ndarray, " count"]

    def __getitem__(self, chosen: np.ndarray) -> Images:
        return Images(self.inputs[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Layer:
    """A dense layer.

    Attributes:
      kernel: float32 [width, num_classes].
      bias: float32 [num_classes].
    """

    kernel: Float32[np.ndarray, "width num_classes"]
    bias: Float32[np.ndarray, " num_classes"]

    def logits(self, inputs: Float32[np.ndarray, "count width"]) -> Float32[np.ndarray, "count num_classes"]:
        """Returns logits, float32 [count, num_classes], of inputs, float32 [count, width]."""
        return inputs @ self.kernel + self.bias


@dataclass(frozen=True)
class Refitted:
    """A layer after corrections.

    Attributes:
      layer: layer fitted on the training images and all corrections.
      out_of_fold: float32 [corrections, num_classes], logits of each correction by a layer fitted without its group;
        None where the corrections are one group.
    """

    layer: Layer
    out_of_fold: Float32[np.ndarray, "corrections num_classes"] | None


def refit(
    layer: Layer,
    train: Images,
    corrections: Images,
    groups: Integer[np.ndarray, " corrections"],
    val: Images,
    label_smoothing: float = 0.0,
) -> Refitted:
    """Fits a layer on training images and corrections together.

    Minimises mean cross-entropy + penalty / 2 * |layer - old layer|^2. How far the layer may move and what a correction
    weighs are those with the smallest loss on val and on corrections that the layer was not fitted on, half each.

    Args:
      layer: layer of the run.
      train: images that it was trained on.
      corrections: images that it should learn.
      groups: int [corrections], equal for images that show the same and never judge each other.
      val: images that only judge, and are never fitted on; may be empty.
      label_smoothing: probability spread over all classes, as in the run's training.
    """
    _, place = np.unique(groups, return_inverse=True)
    folds = place % _FOLDS
    has_folds = len(np.unique(folds)) > 1

    def held_out(penalty: float, weight: float) -> np.ndarray:
        logits = np.zeros((len(folds), len(layer.bias)), np.float32)
        for fold in np.unique(folds):
            others = corrections[folds != fold]
            fitted = _fit(layer, train, others, penalty, weight, label_smoothing)
            logits[folds == fold] = fitted.logits(corrections.inputs[folds == fold])
        return logits

    best: tuple[float, Layer, np.ndarray | None] | None = None
    for penalty in PENALTIES:
        for weight in WEIGHTS:
            fitted = _fit(layer, train, corrections, penalty, weight, label_smoothing)
            answers = held_out(penalty, weight) if has_folds else None
            judged = [(fitted.logits(val.inputs), val.labels)] if len(val.labels) else []
            judged += [] if answers is None else [(answers, corrections.labels)]
            loss = sum(_cross_entropy(logits, labels) for logits, labels in judged)
            if best is None or loss < best[0]:
                best = loss, fitted, answers
    assert best is not None
    return Refitted(best[1], best[2])


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    rows = np.arange(len(labels))
    return float(-np.log(np.maximum(softmax(logits)[rows, labels], 1e-12)).mean())


def _fit(
    layer: Layer, train: Images, corrections: Images, penalty: float, weight: float, label_smoothing: float
) -> Layer:
    inputs = np.concatenate([train.inputs, corrections.inputs])
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1).astype(np.float64)
    labels = np.concatenate([train.labels, corrections.labels])
    weights = np.repeat([1.0, weight], [len(train.labels), len(corrections.labels)])
    weights /= weights.sum()
    start = np.concatenate([layer.kernel, layer.bias[None]]).astype(np.float64)
    num_classes = start.shape[1]
    targets = (1 - label_smoothing) * np.eye(num_classes)[labels] + label_smoothing / num_classes
    num_blocks = -(-len(inputs) * start.size // _SMALL_PRODUCT)
    num_blocks = num_blocks if num_blocks <= _MAX_BLOCKS else 1
    # Rows of weight 0 fill the last block.
    missing = -len(inputs) % num_blocks
    inputs, targets, weights = (
        np.concatenate([rows, np.zeros((missing, *rows.shape[1:]))]) for rows in (inputs, targets, weights)
    )
    blocks = inputs.reshape(num_blocks, -1, inputs.shape[1])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = flat.reshape(start.shape)
        probabilities = softmax((blocks @ matrix).reshape(-1, num_classes))
        moved = matrix - start
        value = -(weights @ (targets * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1))
        wrong = ((probabilities - targets) * weights[:, None]).reshape(num_blocks, -1, num_classes)
        gradient = (blocks.transpose(0, 2, 1) @ wrong).sum(axis=0) + penalty * moved
        return float(value + penalty / 2 * (moved**2).sum()), gradient.ravel()

    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS})
    matrix = found.x.reshape(start.shape).astype(np.float32)
    return Layer(matrix[:-1], matrix[-1])
