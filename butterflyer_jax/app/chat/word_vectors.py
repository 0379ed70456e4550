"""Vectors of words, by which questions in other words are compared.

The vector of a text is the normalized sum of those of its words. The table imitates the sentence vectors of
all-MiniLM-L6-v2 (Apache-2.0, sentence-transformers); `scripts/make_word_vectors.py` makes it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("word_vectors.npz")
# Largest stored value: few values compress well, and more bits change no answer.
LARGEST = 15
# Longest text that is read, in words.
MAX_WORDS = 40
# Words for the species in a question about it, and the word for each of them.
IT = frozenset({"it", "its", "he", "his", "she", "her", "butterfly", "butterflies"})
BUTTERFLY = "butterfly"


@dataclass(frozen=True)
class WordVectors:
    """A table of vectors.

    Attributes:
      words: folded words, one per row.
      scales: float32 [words], factor of each row.
      values: int8 [words, dimensions], at most `LARGEST`.
    """

    words: tuple[str, ...]
    scales: np.ndarray
    values: np.ndarray

    def embed(self, text: Sequence[str]) -> np.ndarray:
        """Returns the vector of the words of a text, float32 [dimensions], of length 1; 0 for unknown words only."""
        rows = [self.places[word] for word in text[:MAX_WORDS] if word in self.places]
        total = self.scales[rows] @ self.values[rows].astype(np.float32)
        return total / max(float(np.linalg.norm(total)), 1e-9)

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Row of each word."""
        return {word: place for place, word in enumerate(self.words)}


@functools.cache
def load() -> WordVectors:
    """Returns the table of this package, cached."""
    with np.load(FILE) as file:
        return WordVectors(tuple(str(file["words"]).split(" ")), file["scales"], file["values"])


def of_fact(text: Iterable[str]) -> tuple[str, ...]:
    """Returns the words of a question about a species, which is called "butterfly"."""
    return (*(word for word in text if word not in IT), BUTTERFLY)
