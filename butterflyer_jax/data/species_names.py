"""Names of species: spellings, common names, synonyms and authors that mean the same species."""

from __future__ import annotations

import difflib
import functools
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def make_close(others: Sequence[str]) -> Callable[[str], str]:
    """Returns the function name -> the one of `others` that may be meant; "" for none.

    It may be misspelt, but for its first letter and numbers, or the name may be one of its subspecies.
    """
    of_spelling = {spelt(other): other for other in others}
    by_form: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for other in of_spelling:
        by_form[_form(other)].append(other)

    def close(name: str) -> str:
        own = spelt(name)
        words = own.split()
        for count in range(len(words) - 1, 1, -1):
            if (start := " ".join(words[:count])) in of_spelling:
                return of_spelling[start]
        found = difflib.get_close_matches(own, by_form.get(_form(own), ()), n=1, cutoff=_MIN_RATIO)
        return of_spelling[found[0]] if found else ""

    return close


def _form(spelling: str) -> tuple[str, tuple[str, ...]]:
    """Returns what two spellings of a name share: the first letter, and numbers, as Species 1 and Species 2 are two."""
    return spelling[:1], tuple(re.findall(r"\d+", spelling))


def listed(names: Iterable[str]) -> str:
    """Returns the first names as text, and the number of the others."""
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


@functools.cache
def document() -> Mapping[str, Any]:
    """Returns the content of families.json: families with their genera, common names, synonyms."""
    return json.loads((Path(__file__).parent / "families.json").read_text(encoding="utf-8"))


@functools.cache
def families() -> Mapping[str, str]:
    """Returns the family of each known genus of butterflies."""
    return {genus: family for family, of_it in document()["families"].items() for genus in of_it["genera"]}


@functools.cache
def _scientific_names() -> dict[str, str]:
    return {spelt(name): owner for kind in ("common_names", "synonyms") for name, owner in document()[kind].items()}
