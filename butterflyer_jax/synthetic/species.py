"""The invented species and the colours they come in."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from butterflyer_jax.synthetic.primitives import Array, Rng
from butterflyer_jax.synthetic.wings import Wing, band, bars, beads, checker, eyespot, rays, veins

Palette: TypeAlias = dict[str, Array]
# Ground, pale, dark and accent colour of the wings, RGB 0 to 255.
Colours: TypeAlias = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Species:
    """An invented species.

    Attributes:
      name: name of the species.
      traits: distinguishing marks, for people.
      fore, hind: shapes and markings of the forewings and of the hindwings.
      morphs: names of the palettes that it comes in.
      palettes: palettes of its own, in place of those.
    """

    name: str
    traits: str
    fore: Wing
    hind: Wing
    morphs: tuple[str, ...] = ()
    palettes: tuple[Colours, ...] = ()


# Every palette is shared by several species, so that none can be classified by colour.
PALETTES = {
    "amber": ((228, 134, 36), (252, 228, 168), (42, 25, 20), (192, 52, 30)),
    "azure": ((62, 124, 204), (222, 236, 250), (20, 26, 50), (240, 158, 56)),
    "russet": ((168, 78, 44), (244, 204, 142), (40, 22, 20), (238, 146, 40)),
    "sulphur": ((236, 200, 66), (255, 246, 212), (58, 40, 26), (214, 86, 36)),
    "moss": ((116, 154, 86), (230, 238, 192), (28, 40, 30), (226, 116, 52)),
    "violet": ((128, 90, 166), (236, 216, 242), (34, 22, 46), (244, 172, 84)),
}
# fmt: off
ROUND_FORE = ((-28, .1), (-14, .6), (2, .78), (20, .92), (36, 1.02), (50, .98), (62, .7), (74, .3))
ROUND_HIND = ((-96, .2), (-82, .58), (-62, .76), (-40, .82), (-18, .8), (0, .7), (14, .45), (26, .1))
BROAD_FORE = ((-28, .15), (-12, .7), (4, .8), (20, .92), (34, 1.1), (46, 1.14), (56, .86), (68, .35))
SQUARE_FORE = ((-34, .15), (-22, .78), (-8, .82), (10, .84), (28, .9), (42, .98), (54, .86), (66, .5), (76, .2))
SQUARE_HIND = ((-98, .2), (-84, .66), (-66, .74), (-44, .76), (-20, .72), (0, .64), (14, .45), (26, .1))
POINTED_FORE = ((-32, .15), (-18, .6), (-4, .68), (14, .76), (30, .92), (44, 1.16), (54, 1), (64, .5), (74, .2))
POINTED_HIND = ((-100, .2), (-86, .6), (-66, .82), (-44, .74), (-20, .66), (0, .6), (14, .4), (26, .1))
HOOKED_FORE = ((-28, .15), (-14, .74), (0, .74), (16, .72), (30, .86), (42, 1.16), (52, 1.08), (62, .7), (74, .25))
HOOKED_HIND = ((-98, .2), (-84, .8), (-70, .86), (-50, .7), (-24, .66), (0, .6), (14, .4), (26, .1))
NARROW_FORE = ((-10, .1), (-2, .62), (10, .94), (22, 1.2), (34, 1.3), (44, 1.16), (54, .7), (64, .25))
NARROW_HIND = ((-72, .15), (-58, .5), (-42, .68), (-24, .8), (-8, .8), (4, .6), (14, .3))

LADDER = band("dark", .28), band("pale", .36, .5), band("ground", .6, .72), band("pale", .82, .9)
CHEQUER = checker("dark", 4), band("dark", .92), beads("pale", .955, .03)
LEAD = veins("dark", .065), band("dark", .78), beads("pale", .885, .042)
FRECKLES = tuple(beads("dark", .3 + .16 * row, .044, shift=row % 2 / 2) for row in range(5))

SPECIES = (
    Species("Amber Lanternwing", "round wings, one great eye on each",
            Wing(ROUND_FORE, (band("dark", .93), *eyespot(28, .6, .23))),
            Wing(ROUND_HIND, (band("dark", .92), *eyespot(-30, .5, .21))),
            ("amber", "russet", "azure")),
    Species("Brook Ladderwing", "scalloped wings, bands along the margin",
            Wing(BROAD_FORE, LADDER, cells=6, scallop=.14, smoothing=3.5),
            Wing(ROUND_HIND, LADDER, cells=6, scallop=.17),
            ("azure", "moss", "violet")),
    Species("Pennant Swordtail", "pointed wings, straight stripes, long tails",
            Wing(POINTED_FORE, (bars("dark", 10, .16, .08, .19), band("dark", .9)), smoothing=2),
            Wing(POINTED_HIND, (bars("dark", -10, .14, .08, .2), band("dark", .82), beads("accent", .87, .055)),
                 cells=6, scallop=.06, tail=(-68, .62, 6), smoothing=2.5),
            ("sulphur", "moss", "azure")),
    Species("Parquet Chequerling", "square wings, chequered",
            Wing(SQUARE_FORE, CHEQUER, cells=6, smoothing=3),
            Wing(SQUARE_HIND, CHEQUER, cells=6, smoothing=3),
            ("sulphur", "russet", "violet")),
    Species("Painted Oarwing", "long narrow wings, one broad bar, rayed hindwings",
            Wing(NARROW_FORE, (band("dark", .3), bars("pale", 12, .7, .22, wave=.02))),
            Wing(NARROW_HIND, (rays("dark", .12, .62), band("dark", .92))),
            ("amber", "violet", "russet")),
    Species("Leadlight Monk", "bold dark veins, pearls in a broad border",
            Wing(BROAD_FORE, LEAD), Wing(ROUND_HIND, LEAD),
            ("amber", "sulphur", "moss")),
    Species("Sickle Duskleaf", "hooked dark wing tips, one line across, stub tails",
            Wing(HOOKED_FORE, (bars("dark", 42, 1.04, .5), bars("pale", 10, .42, .05), bars("dark", 10, .47, .05)),
                 smoothing=2),
            Wing(HOOKED_HIND, (bars("pale", -20, .4, .05), bars("dark", -20, .45, .05)),
                 tail=(-76, .24, 6), smoothing=2.5),
            ("russet", "moss", "violet")),
    Species("Freckled Pardine", "wavy wings, dark freckles all over",
            Wing(ROUND_FORE, FRECKLES, scallop=.06), Wing(ROUND_HIND, FRECKLES, scallop=.08),
            ("amber", "azure", "sulphur")),
)
# fmt: on


def individual_palette(species: Species, rng: Rng) -> Palette:
    """One of the species' palettes, its hue, saturation and brightness varied; RGB 0-255, float32 (3, 1) an ink."""
    palettes = species.palettes or tuple(PALETTES[name] for name in species.morphs)
    colours = palettes[rng.integers(len(palettes))]
    turn, richness, brightness = rng.uniform(-0.04, 0.04), rng.uniform(0.7, 1.15), rng.uniform(0.8, 1.15)
    palette = {}
    for ink, colour in zip(("ground", "pale", "dark", "accent"), colours, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
        rgb = colorsys.hsv_to_rgb(hue + turn, min(1, saturation * richness), min(1, value * brightness))
        palette[ink] = np.array(rgb, np.float32)[:, None] * 255
    return palette
