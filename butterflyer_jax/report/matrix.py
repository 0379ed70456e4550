"""Layout of a confusion matrix, for the page and for the trackers' images: a cell for every pair that occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Integer

if TYPE_CHECKING:
    import numpy as np

MAX_SPECIES = 120
# Largest number of species for which the cells show counts.
NUMBERED = 30
MAX_LETTERS = 26
# Width of a letter, as a share of the size of the font.
LETTER = 0.55


@dataclass(frozen=True)
class Cell:
    """A pair of species: column and row, the number of photos, and its share of the row."""

    column: int
    row: int
    count: int
    share: float
    text: str


@dataclass(frozen=True)
class Matrix:
    """A matrix laid out; lengths are in pixels.

    Attributes:
      names: names of the species, shortened; full_names: the whole names.
      cells: cells that are not empty.
      cell: side of a cell.
      font: font size of the names.
      margin: room for the names, at the left and above.
      numbered: whether cells show counts.
      num_species: number of species in the whole matrix; more than names if only those with most mistakes are drawn.
    """

    names: list[str]
    full_names: list[str]
    cells: list[Cell]
    cell: int
    font: int
    margin: int
    numbered: bool
    num_species: int

    @property
    def side(self) -> int:
        """Side of all cells together."""
        return self.cell * len(self.names)


def layout(confusion: Integer[np.ndarray, "num_species num_species"], species: Sequence[str]) -> Matrix:
    """Returns the matrix of the species that occur; of very many, only those with the most mistakes.

    Args:
      confusion: int [species, species], photos by (species, prediction).
      species: names of the species.
    """
    import numpy as np

    support = confusion.sum(axis=1)
    wrong = support + confusion.sum(axis=0) - 2 * confusion.diagonal()
    present = np.flatnonzero(support + confusion.sum(axis=0)) if support.any() else np.arange(len(species))
    chosen = np.sort(present[np.argsort(-wrong[present], kind="stable")[:MAX_SPECIES]])
    part = confusion[np.ix_(chosen, chosen)]
    full = [species[n] for n in chosen]
    count = len(chosen)
    cell = 54 if count <= 12 else 34 if count <= NUMBERED else 15
    font = 13 if count <= NUMBERED else 11
    names = [name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…" for name in full]
    margin = round(max(map(len, names), default=1) * font * LETTER) + 14
    cells = []
    for row, column in zip(*(indexes.tolist() for indexes in part.nonzero()), strict=True):
        number, whole = int(part[row, column]), int(support[chosen[row]])
        verb = "named rightly" if row == column else f"named {full[column]}"
        text = f"{full[row]}, {verb}: {number:,} of {whole:,}"
        cells.append(Cell(column, row, number, number / whole, text))
    return Matrix(names, full, cells, cell, font, margin, count <= NUMBERED, len(species))
