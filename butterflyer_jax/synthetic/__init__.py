"""Drawn images of invented butterflies: a data set to try the whole pipeline on, made in seconds.

    butterflyer synthetic --output butterflies.zip
    butterflyer synthetic --species 120 --photos 90 --long_side 160 --output drawn.zip

The species share their colours and differ in wing outline and pattern, so a classifier has to learn shapes.
`--species N` draws N others, each with outlines, markings and palettes of its own: a set to learn first features from,
free of any licence.
"""

from butterflyer_jax.synthetic.files import write_contact_sheet, write_zip
from butterflyer_jax.synthetic.photo import draw_photo
from butterflyer_jax.synthetic.random_species import random_species
from butterflyer_jax.synthetic.species import SPECIES, Species

__all__ = ["SPECIES", "Species", "random_species", "draw_photo", "write_zip", "write_contact_sheet"]
