"""How far a probability can be believed: a temperature for the logits, and a threshold below which nothing is named.

Both are chosen on validation images and lie in `calibration.json` of the run folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FILE = "calibration.json"
# Of the validation images that are named rightly, the share that stays named.
KEPT = 0.98
TEMPERATURES = (0.05, 20.0)
_SEARCH_STEPS = 60


@dataclass(frozen=True)
class Calibration:
    """What the answers of a checkpoint are corrected by.

    Attributes:
      temperature: that the logits are divided by; above 1 the network was too sure of itself.
      threshold: probability of the first species below which it is none of these.
      step: of the checkpoint.
      count: validation images that it was chosen on; 0 where there were none.
    """

    temperature: float = 1.0
    threshold: float = 0.0
    step: int = 0
    count: int = 0

    def to_json(self) -> str:
        """Returns the text of calibration.json."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Returns what `to_json` wrote.

        Raises:
          ValueError, TypeError: it is something else.
        """
        values: dict[str, Any] = json.loads(text)
        return cls(**values)


def fit(logits: np.ndarray, labels: np.ndarray, step: int) -> Calibration:
    """Chooses temperature and threshold.

    The temperature is the one of the least cross-entropy, with as much doubt as one image more would leave: where
    none is named wrongly, nothing else would bound it. The threshold keeps 98% of the images that are named
    rightly: what is less sure than nearly all of them is probably no image of these species.

    Args:
      logits: float [count, species], of validation images.
      labels: int [count].
      step: of the checkpoint.
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
    threshold = float(np.quantile(sure, 1 - KEPT)) if len(sure) else 0.0
    return Calibration(round(temperature, 6), round(threshold, 6), step, len(labels))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities, float64 [count, species]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return result


def _cross_entropy(logits: np.ndarray, labels: np.ndarray, log_temperature: float) -> float:
    scaled = logits.astype(np.float64) / np.exp(log_temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    doubt = 1 / (len(labels) + 1)
    own = (1 - doubt) * scaled[np.arange(len(labels)), labels] + doubt * scaled.mean(axis=1)
    return float((np.log(np.exp(scaled).sum(axis=1)) - own).mean())
