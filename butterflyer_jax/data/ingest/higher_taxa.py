"""Labels of a rank above the species, beside labels of species: "Aglais", "Aglais sp." and "Nymphalidae"."""

from __future__ import annotations

import re
from collections.abc import Collection

from butterflyer_jax.data.ingest import words

# With a number, as in "Aglais sp. 2", it is a species without a name.
_NOT_TO_SPECIES = re.compile(r"(?P<taxon>[A-Z][a-z]{2,})(?:[\s_]+(?:spp?|species|indet)\.?)?")


def among(labels: Collection[str]) -> set[str]:
    """Returns the labels that name a family, or the genus of another label, where most are scientific names.

    The species of their photos is not known, and it may be one of the others.
    """
    above = {label: found["taxon"] for label in labels if (found := _NOT_TO_SPECIES.fullmatch(label))}
    species = [label for label in labels if label not in above and words.are_binomials([label])]
    if 2 * len(species) <= len(labels):
        return set()
    genera = {re.split(r"[\s_]", label)[0] for label in species}
    return {label for label, taxon in above.items() if taxon in genera or words.is_rank(taxon)}
