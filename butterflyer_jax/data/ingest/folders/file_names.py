"""Species in the names of files: Monarch_001.jpg, "Red Admiral (2).jpg"."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable

from butterflyer_jax.data.ingest import words

# What counts the photos of a species, before or after its name.
_COUNTER = re.compile(r"^\d+(?=[\s_.-])|(?:\(\d+\)|\d+|[\s_-](?:copy|kopie))$", re.IGNORECASE)
_EDGES = " _.-"
# What cameras and programs call all photos.
_CAMERAS = frozenset(
    words.listed(
        """
    img dsc dscn dscf pxl image images photo foto picture pic file frame p pict cimg screenshot wp mvimg gopr sam
    untitled download crop
    """
    )
)
# Share of the photos whose names must have a species that another shares.
_MIN_SHARE = 0.9


def label_of(photo: str) -> str:
    """Returns a photo's file name without counters and suffix; "" where nothing is left."""
    name = posixpath.splitext(posixpath.basename(photo))[0].strip(_EDGES)
    while (shorter := _COUNTER.sub("", name).strip(_EDGES)) != name:
        name = shorter
    return words.plain(name.replace("_", " "))


def leading_numbers(photos: Iterable[str]) -> list[str]:
    """Returns the first three digits of file names where they seem to number the species, as in the Leeds set; else [].

    0010001.png, 0010002.png, 0020001.png: names of seven digits or more, of which each three come more than once.
    """
    stems = [posixpath.splitext(posixpath.basename(photo))[0] for photo in photos]
    if not all(re.fullmatch(r"\d{7,}", stem) for stem in stems):
        return []
    found = Counter(stem[:3] for stem in stems)
    return sorted(found) if len(found) > 1 and min(found.values()) > 1 else []


def likely_labels(photos: Iterable[str]) -> list[str]:
    """Returns the species that file names seem to have, sorted; [] where they seem to have none."""
    found = Counter(map(label_of, photos))
    several = {
        label: number for label, number in found.items() if number > 1 and words.squeeze(label) not in {"", *_CAMERAS}
    }
    return sorted(several) if len(several) > 1 and sum(several.values()) >= _MIN_SHARE * found.total() else []
