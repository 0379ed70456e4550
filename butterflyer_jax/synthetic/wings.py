"""The wings: their outline, and the markings that make up their pattern.

Lengths are in body units: a forewing is about one unit long. A wing is described about its root: `reach` runs from 0
at the root to 1 at the margin, and `cell` counts the fields between neighbouring veins, from the trailing edge on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# The polar table of a wing: fine enough that its steps stay well below a pixel at the margin.
DEGREES = np.linspace(-120, 120, 2401)


class Points(NamedTuple):
    """Points on a wing, float32 (points,) each; `margin` is the distance to the margin in a point's direction."""

    x: np.ndarray
    y: np.ndarray
    reach: np.ndarray
    cell: np.ndarray
    cell_width: np.ndarray
    margin: np.ndarray

    def off_centre(self, shift: float = 0.0) -> Float[np.ndarray, " points"]:
        """Distance in cells from the middle line of the cell, -0.5 to 0.5."""
        return self.cell + shift - np.floor(self.cell + shift) - 0.5


class Marking(NamedTuple):
    """One layer of a wing's pattern: how much of its ink lies on every point, 0 to 1."""

    ink: str
    coverage: Callable[[Points], np.ndarray]


def inside(depth: Float[np.ndarray, " points"], softness: float = 0.014) -> Float[np.ndarray, " points"]:
    """Coverage at the given depth inside an edge: 0 outside, 1 inside, a soft step between."""
    return np.clip(depth / softness + 0.5, 0, 1)


def band(ink: str, inner: float, outer: float = 2.0) -> Marking:
    """Everything from one reach to another."""
    return Marking(ink, lambda p: inside(np.minimum(p.reach - inner, outer - p.reach)))


def spot(ink: str, degrees: float, distance: float, size: float) -> Marking:
    """A disc in the given direction and distance from the root."""
    x, y = distance * math.cos(math.radians(degrees)), distance * math.sin(math.radians(degrees))
    return Marking(ink, lambda p: inside(size - np.hypot(p.x - x, p.y - y)))


def eyespot(degrees: float, distance: float, size: float) -> tuple[Marking, ...]:
    """An eye: rings around an iris with a pupil and a glint."""
    rings = (("dark", 1.0), ("pale", 0.88), ("dark", 0.68), ("accent", 0.56), ("dark", 0.3))
    glint = spot("pale", degrees + 4, distance + 0.08 * size, 0.11 * size)
    return *(spot(ink, degrees, distance, size * part) for ink, part in rings), glint


def beads(ink: str, reach: float, size: float, shift: float = 0.0) -> Marking:
    """A row of dots, one to a cell; a `shift` of one half puts them on the veins."""

    def coverage(p: Points) -> np.ndarray:
        away = np.hypot(p.off_centre(shift) * p.cell_width, (p.reach - reach) * p.margin)
        # Towards the wing's two straight edges the cells shrink to slivers, where dots would run together.
        return inside(size - away) * (p.margin > 0.5)

    return Marking(ink, coverage)


def bars(ink: str, degrees: float, first: float, width: float, period: float = 9.0, wave: float = 0.0) -> Marking:
    """Straight bars that follow one another in the given direction; `wave` bulges them within each cell."""
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def coverage(p: Points) -> np.ndarray:
        periods = (p.x * x + p.y * y - first) / period
        away = np.abs(periods - np.round(periods)) * period
        return inside(width / 2 - away - wave * np.cos(2 * np.pi * p.cell))

    return Marking(ink, coverage)


def checker(ink: str, rows: float) -> Marking:
    """Every other field of a chequerboard: the veins one way, equal steps of reach the other."""
    return Marking(ink, lambda p: inside(np.sin(np.pi * p.cell) * np.sin(np.pi * rows * p.reach), 0.35))


def veins(ink: str, width: float, arch: float = 0.5) -> Marking:
    """Lines from the root to the margin, joined by an arch."""

    def coverage(p: Points) -> np.ndarray:
        away = (0.5 - np.abs(p.off_centre())) * p.cell_width
        # Every second vein starts at the arch: all of them would crowd the root.
        away[(np.round(p.cell).astype(np.int32) & 1 > 0) & (p.reach < arch)] = 1
        return inside(width / 2 - np.minimum(away, np.abs(p.reach - arch) * p.margin))

    return Marking(ink, coverage)


def rays(ink: str, start: float, width: float) -> Marking:
    """A wedge in every cell: a point at reach `start`, `width` cells wide at the margin."""
    half = width / 2 / (1 - start)
    return Marking(ink, lambda p: inside((half * (p.reach - start) - np.abs(p.off_centre())) * p.cell_width))


@dataclass(frozen=True)
class Wing:
    """A wing. `outline`: (degrees, distance) from the trailing to the leading edge; 0 degrees points outwards.

    `scallop` is the depth of the notches at the veins; `tail` is (degrees, length, half width in degrees);
    `smoothing` rounds the outline's corners, in degrees.
    """

    outline: tuple[tuple[float, float], ...]
    markings: tuple[Marking, ...]
    cells: int = 7
    scallop: float = 0.0
    tail: tuple[float, float, float] = (0.0, 0.0, 1.0)
    smoothing: float = 4.5

    @property
    def cell_angle(self) -> float:
        """How far neighbouring veins diverge, in radians."""
        return math.radians(self.outline[-1][0] - self.outline[0][0]) / self.cells

    def profile(self) -> Float[np.ndarray, "3 2401"]:
        """In each of DEGREES: margin without notches and tail, margin with them, cell; float32 (3, 2401)."""
        degrees, distances = np.array(self.outline).T
        window = np.hanning(round(20 * self.smoothing))
        margin = np.convolve(np.interp(DEGREES, degrees, distances, 0, 0), window / window.sum(), "same")
        cell = np.radians(DEGREES - degrees[0]) / self.cell_angle
        where, length, half_width = self.tail
        edge = margin * (1 - self.scallop * np.abs(np.cos(np.pi * cell)) ** 3)
        edge += length * np.exp(-(((DEGREES - where) / half_width) ** 2))
        return np.stack([margin, edge, cell]).astype(np.float32)
