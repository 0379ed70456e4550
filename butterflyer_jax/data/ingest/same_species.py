"""Labels that may be names of one species: scientific and common ones, synonyms, names with an author or a count."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from butterflyer_jax.data import species_names
from butterflyer_jax.data.ingest import unclear, words

# Fewer names of a kind than this are exceptions in a column; as many of two kinds are asked about.
_MIN_OF_A_KIND = 2
# "Peacock (Aglais io)", "Aglais io - Peacock", "Aglais io / Peacock".
_BETWEEN_NAMES = re.compile(r"\s*[()\[\]|]\s*|\s+[-\u2013/]\s+")
_COUNT = re.compile(r"^\d{1,3}\s?[x\u00d7]\s+|\s+[x\u00d7]\s?\d{1,3}$", re.IGNORECASE)
_BUTTERFLY = re.compile(r"(?<=\w)[\s_]+(?:butterfly|butterflies|moth|schmetterling|falter)$", re.IGNORECASE)


def groups(labels: Collection[str]) -> list[list[str]]:
    """Returns the labels that are names of one species, by species, sorted; some differ by more than their spelling.

    Known are the common names and synonyms that the package ships.
    """
    found: dict[str, list[str]] = defaultdict(list)
    parts = {label: [part for part in _BETWEEN_NAMES.split(label) if part] for label in labels}
    whole = {_name(label) for label, own in parts.items() if len(own) < 2}
    for label in sorted(labels):
        names = [_name(label), *map(_name, parts[label])]
        # "Peacock (Aglais io)" is Peacock where there is one; "Map (butterfly)" is no butterfly.
        found[next((name for name in names if name in whole), names[0])].append(label)
    return [own for _, own in sorted(found.items()) if len(set(map(words.squeeze, own))) > 1]


def _name(label: str) -> str:
    bare = words.plain(_COUNT.sub("", label.replace("_", " ")))
    for name in (bare, _BUTTERFLY.sub("", bare)):
        scientific = species_names.scientific(name)
        # "Species of Monarch" has the form of a name with its author.
        if scientific.partition(" ")[0] in species_names.families():
            return species_names.spelt(scientific)
    return species_names.spelt(name)


def in_two_languages(labels: Collection[str]) -> tuple[list[str], list[str]] | None:
    """Returns the scientific names among labels and the other names, sorted, where there are several of both."""
    genera = species_names.families()
    scientific, others = [], []
    for label in sorted(labels):
        bare = re.sub(r"^\d+[.\s_-]+", "", label).replace("_", " ")
        genus, _, epithet = bare.partition(" ")
        if genus.capitalize() in genera:
            scientific += [label] if re.match(r"[a-z-]{2,}(?!\w)", epithet) and not epithet.startswith("sp") else []
        elif not (label.isdigit() or words.are_binomials([label]) or words.is_rank(label) or unclear.is_unsure(label)):
            # "Small white" has the form of a scientific name.
            others.append(label)
    enough = min(len(scientific), len(others)) >= _MIN_OF_A_KIND
    return (scientific, others) if enough else None
