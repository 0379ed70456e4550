"""Calibration of probabilities: a temperature for the logits, and a reject threshold.

Both are chosen on validation images and kept in `calibration.json` of the run folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer

from butterflyer_jax.metrics.ranks import MIN_PROBABILITY

FILE = "calibration.json"
# Share of the correctly classified validation images that the threshold must not reject.
KEPT = 0.98
# Probability of all species of a list together below which an image shows another one.
MIN_LISTED = 0.05
TEMPERATURES = (0.05, 20.0)
_SEARCH_STEPS = 60


@dataclass(frozen=True)
class Calibration:
    """Temperature and reject threshold of a checkpoint.

    Attributes:
      temperature: divisor of the logits; above 1 the network was overconfident.
      threshold: probability of the first species below which an image is rejected.
      step: training step of the checkpoint.
      count: number of validation images that both were chosen on; 0 if there were none.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    step: int = 0
    count: int = 0

    def probabilities(self, logits: Float[np.ndarray, "count num_classes"]) -> Float64[np.ndarray, "count num_classes"]:
        """Returns the calibrated probabilities of logits, float64 [count, species]."""
        return softmax(logits / self.temperature)

    def to_json(self) -> str:
        """Returns the text of calibration.json."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Returns the calibration in a text that `to_json` wrote.

        Raises:
          ValueError, TypeError: the text was not written by `to_json`.
        """
        values: dict[str, Any] = json.loads(text)
        return cls(**values)


def fit(
    logits: Float[np.ndarray, "count num_classes"], labels: Integer[np.ndarray, " count"], step: int
) -> Calibration:
    """Returns the calibration that fits validation logits best.

    The temperature minimises the cross-entropy, regularised by one further image of uniform doubt, which bounds it if
    no image is misclassified. The threshold keeps 98% of the correctly classified images: an image with less
    confidence than nearly all of them is probably out of distribution. It is at most `ranks.MIN_PROBABILITY`: what
    is sure enough for a name is not refused for doubt.

    Args:
      logits: float [count, species], logits of validation images.
      labels: int [count].
      step: training step of the checkpoint.
    """
    if not len(labels):
        return Calibration(step=step)
    low, high = np.log(TEMPERATURES)
    golden = (np.sqrt(5) - 1) / 2
    # The cross-entropy has one minimum in the inverse of the temperature, so it has one in its logarithm.
    for _ in range(_SEARCH_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _cross_entropy(logits, labels, left) < _cross_entropy(logits, labels, right):
            high = right
        else:
            low = left
    temperature = float(np.exp((low + high) / 2))
    probabilities = softmax(logits / temperature)
    right_ones = probabilities.argmax(axis=1) == labels
    sure = probabilities.max(axis=1)[right_ones]
    threshold = min(float(np.quantile(sure, 1 - KEPT)), MIN_PROBABILITY) if len(sure) else 0.0
    return Calibration(round(temperature, 6), round(threshold, 6), step, len(labels))


def softmax(logits: Float[np.ndarray, "count num_classes"]) -> Float64[np.ndarray, "count num_classes"]:
    """Returns the probabilities of logits, float64 [count, species]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def among_listed(
    probabilities: Float[np.ndarray, "count num_classes"],
    refused: Bool[np.ndarray, " count"],
    listed: Bool[np.ndarray, " num_classes"] | None,
) -> tuple[Float[np.ndarray, "count num_classes"], Bool[np.ndarray, " count"]]:
    """Returns probabilities of listed species alone, which sum to 1, and which images are refused.

    An image is refused too where all listed species together have less than `MIN_LISTED`: it shows another species, and
    to share its probability among the listed ones would make a sure name of nearly nothing.

    Args:
      probabilities: float [count, species], calibrated.
      refused: bool [count], images that are refused without the list.
      listed: bool [species], species that can occur; None for all of them.
    """
    if listed is None:
        return probabilities, refused
    masked = np.where(listed, probabilities, 0)
    total = masked.sum(axis=1, keepdims=True)
    spread = np.where(total > 0, masked / np.maximum(total, np.finfo(masked.dtype).tiny), listed / listed.sum())
    return spread.astype(probabilities.dtype), refused | (total[:, 0] < MIN_LISTED)


def _cross_entropy(logits: np.ndarray, labels: np.ndarray, log_temperature: float) -> float:
    scaled = logits.astype(np.float64) / np.exp(log_temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    doubt = 1 / (len(labels) + 1)
    own = (1 - doubt) * scaled[np.arange(len(labels)), labels] + doubt * scaled.mean(axis=1)
    return float((np.log(np.exp(scaled).sum(axis=1)) - own).mean())
