"""Names of species: spellings, common names, synonyms and authors that mean the same species."""

from __future__ import annotations

import difflib
import functools
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# "Vanessa cardui (Linnaeus, 1758)", "Vanessa cardui L.": the author follows the name.
_AUTHOR = r"(?:[A-Z&][\w.&'\u2019-]*|\d{4}|et|and|de|von|in|ex|al\.)"
_AUTHORED = re.compile(rf"(?P<name>[A-Z][a-z]+ [a-z][a-z-]+)(?: ?\(.*|,? {_AUTHOR}(?:,? {_AUTHOR})*)")
# From here on two names may be one, misspelt: "Painted Lady" and "Painted Ladies".
_MIN_RATIO = 0.85


def spelt(name: str) -> str:
    """Returns a name in the one spelling by which names are compared.

    Lower case, with spaces for `_` and `-`, and without apostrophes or doubled spaces.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(re.sub("[_-]", " ", re.sub("['\u2019]", "", text)).split())


def scientific(name: str) -> str:
    """Returns the scientific name of a well-known species, or one without its author, as it was first spelt.

    Args:
      name: a common name, a synonym, or a scientific name with or without its author.

    Returns:
      The name itself where it is none of these.
    """
    if authored := _AUTHORED.fullmatch(" ".join(name.replace("_", " ").split())):
        name = authored["name"]
    return _scientific_names().get(spelt(name), name)


def close(name: str, others: Sequence[str]) -> str:
    """Returns the name that may be meant, misspelt or as a part of it: the species of a subspecies; "" for none."""
    of_spelling = {spelt(other): other for other in others}
    own = spelt(name)
    for other, given in of_spelling.items():
        if len(other.split()) > 1 and own.startswith(f"{other} "):
            return given
    numbers = re.findall(r"\d+", own)
    # Species 1 and Species 2 are two.
    candidates = [other for other in of_spelling if re.findall(r"\d+", other) == numbers]
    found = difflib.get_close_matches(own, candidates, n=1, cutoff=_MIN_RATIO)
    return of_spelling[found[0]] if found else ""


def listed(names: Iterable[str]) -> str:
    """Returns the first names as text, and the number of the others."""
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


@functools.cache
def document() -> Mapping[str, Any]:
    """Returns the content of families.json: families with their genera, common names, synonyms."""
    content: dict[str, Any] = json.loads((Path(__file__).parent / "families.json").read_text(encoding="utf-8"))
    return content


@functools.cache
def _scientific_names() -> dict[str, str]:
    return {spelt(name): owner for kind in ("common_names", "synonyms") for name, owner in document()[kind].items()}
