"""Species without end, each drawn from a seed and a number: outlines, markings and palettes of its own."""

from __future__ import annotations

import colorsys

import numpy as np

from butterflyer_jax.synthetic import species as named
from butterflyer_jax.synthetic.primitives import Rng
from butterflyer_jax.synthetic.species import Colours, Species
from butterflyer_jax.synthetic.wings import (
    Marking,
    Wing,
    band,
    bars,
    beads,
    checker,
    eyespot,
    rays,
    spot,
    veins,
)

Outline = tuple[tuple[float, float], ...]
FORE = (named.ROUND_FORE, named.BROAD_FORE, named.SQUARE_FORE, named.POINTED_FORE, named.HOOKED_FORE, named.NARROW_FORE)
HIND = (named.ROUND_HIND, named.SQUARE_HIND, named.POINTED_HIND, named.HOOKED_HIND, named.NARROW_HIND)
INKS = ("dark", "pale", "accent", "ground")
# Of the seed's streams of random numbers; `files` draws photos from (seed, species, photo).
STREAM = 1 << 20


def random_species(seed: int, number: int) -> Species:
    """Returns the species of a number, the same for the same arguments.

    Args:
      seed: seed of all species together.
      number: number of the species, from 0.
    """
    rng = np.random.default_rng([seed, STREAM, number])
    fore = _outline(FORE[rng.integers(len(FORE))], rng)
    hind = _outline(HIND[rng.integers(len(HIND))], rng)
    markings = _markings(rng)
    # The hindwings of most species repeat the pattern of the forewings.
    hind_markings = markings if rng.random() < 0.5 else _markings(rng)
    tail = (0.0, 0.0, 1.0)
    if rng.random() < 0.25:
        tail = (rng.uniform(-80, -55), rng.uniform(0.15, 0.6), rng.uniform(4, 8))
    cells, smoothing = int(rng.integers(5, 9)), rng.uniform(2, 5)
    first = _colours(rng)
    # A second morph of a species differs little from the first.
    palettes = (first,) if rng.random() < 0.6 else (first, _shifted(first, rng))
    return Species(
        f"Drawn {number:04}",
        "drawn at random",
        Wing(fore, markings, cells, _scallop(rng), smoothing=smoothing),
        Wing(hind, hind_markings, cells, _scallop(rng), tail, smoothing),
        palettes=palettes,
    )


def _outline(outline: Outline, rng: Rng) -> Outline:
    """Returns an outline like another: its whole turned and scaled a little, its corners moved."""
    scale, turn = rng.uniform(0.85, 1.1), rng.uniform(-6, 6)
    corners = []
    for degrees, distance in outline:
        corners.append((degrees + turn + rng.uniform(-2, 2), distance * scale * rng.uniform(0.88, 1.12)))
    return tuple(corners)


def _scallop(rng: Rng) -> float:
    return rng.uniform(0.04, 0.18) if rng.random() < 0.4 else 0.0


def _markings(rng: Rng) -> tuple[Marking, ...]:
    markings: list[Marking] = []
    for _ in range(rng.integers(1, 5)):
        markings += _marking(rng)
    if rng.random() < 0.5:
        markings.append(band("dark", rng.uniform(0.75, 0.95)))
    return tuple(markings)


def _marking(rng: Rng) -> tuple[Marking, ...]:
    ink = INKS[rng.integers(len(INKS))]
    reach = rng.uniform(0.25, 0.9)
    match int(rng.integers(9)):
        case 0:
            return (band(ink, reach, reach + rng.uniform(0.05, 0.25)),)
        case 1:
            return (band(ink, reach),)
        case 2:
            return eyespot(rng.uniform(-40, 45), rng.uniform(0.4, 0.7), rng.uniform(0.08, 0.24))
        case 3:
            return tuple(
                spot(ink, rng.uniform(-60, 60), rng.uniform(0.25, 0.9), rng.uniform(0.03, 0.16))
                for _ in range(rng.integers(1, 6))
            )
        case 4:
            rows = range(int(rng.integers(1, 5)))
            return tuple(beads(ink, reach + 0.14 * row, rng.uniform(0.02, 0.06), shift=row % 2 / 2) for row in rows)
        case 5:
            period = rng.uniform(0.12, 0.5) if rng.random() < 0.7 else 9.0
            return (
                bars(ink, rng.uniform(-60, 60), reach, period * rng.uniform(0.2, 0.5) if period < 9 else 0.12, period),
            )
        case 6:
            return (checker(ink, float(rng.integers(2, 7))),)
        case 7:
            return (veins(ink, rng.uniform(0.015, 0.07), rng.uniform(0.3, 0.7)),)
        case _:
            return (rays(ink, rng.uniform(0.1, 0.5), rng.uniform(0.3, 0.8)),)


def _colours(rng: Rng) -> Colours:
    """Returns ground, pale, dark and accent colour, RGB 0 to 255."""
    hue, accent = rng.random(), rng.random()
    hsv = (
        (hue, rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.98)),
        (rng.random(), rng.uniform(0.0, 0.35), rng.uniform(0.85, 1.0)),
        (rng.random(), rng.uniform(0.0, 0.6), rng.uniform(0.08, 0.28)),
        (accent, rng.uniform(0.5, 0.95), rng.uniform(0.6, 0.98)),
    )
    return tuple(_rgb(colour) for colour in hsv)


def _shifted(colours: Colours, rng: Rng) -> Colours:
    shift, brightness = rng.uniform(-0.08, 0.08), rng.uniform(0.7, 1.2)
    shifted = []
    for colour in colours:
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
        shifted.append(_rgb((hue + shift, saturation, min(1, value * brightness))))
    return tuple(shifted)


def _rgb(hsv: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(*hsv))
    return red, green, blue
