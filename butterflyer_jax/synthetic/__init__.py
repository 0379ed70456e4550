"""Drawn photographs of invented butterflies: a data set to try the whole pipeline on, made in seconds.

    butterflyer synthetic --output butterflies.zip

The species share their colours and differ in wing outline and pattern, so a classifier has to learn shapes.
"""

from butterflyer_jax.synthetic.files import write_contact_sheet, write_zip
from butterflyer_jax.synthetic.photograph import draw_photograph
from butterflyer_jax.synthetic.species import SPECIES, Species

__all__ = ["SPECIES", "Species", "draw_photograph", "write_zip", "write_contact_sheet"]
