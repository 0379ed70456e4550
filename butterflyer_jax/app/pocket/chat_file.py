"""Data of the static site's chat: the knowledge base and the words of questions, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from butterflyer_jax.app.chat import conversation, english, word_vectors
from butterflyer_jax.app.knowledge.base import Knowledge, Source, Species
from butterflyer_jax.app.knowledge.schema import BINOMIAL, key

# Character code of the value 0 of a vector: all of them are printed and need no escape in JSON.
ZERO = 55


def content(knowledge: Knowledge) -> dict[str, Any]:
    """Returns lexicon, vectors of words, species, passages, questions, names and sources, which have indices from 0."""
    sources: dict[Source, int] = {}

    def numbers(of: Sequence[Source]) -> list[int]:
        return [sources.setdefault(source, len(sources)) for source in of]

    def entry(species: Species) -> dict[str, Any]:
        facts = {kind: {"text": fact.text, "sources": numbers(fact.sources)} for kind, fact in species.facts.items()}
        return {
            "scientific_name": species.scientific_name,
            "name": species.name,
            "common_names": species.common_names,
            "synonyms": species.synonyms,
            "wingspan_mm": species.wingspan_mm,
            "continents": species.continents,
            "winter": species.winter,
            "migrates": species.migrates,
            "facts": facts,
        }

    found = {
        "lexicon": _lexicon(),
        "vectors": _vectors(),
        "species": [entry(species) for species in knowledge.species],
        "passages": [
            {
                "title": passage.title,
                "text": passage.text,
                "sources": numbers(passage.sources),
                "kind": passage.kind,
                "species": passage.species,
            }
            for passage in knowledge.passages
        ],
        "questions": dict(knowledge.questions),
        "names": _names(knowledge),
    }
    return found | {"sources": [asdict(source) for source in sources]}


def _lexicon() -> dict[str, Any]:
    document = english.document()
    say = dict(document["say"]) | {"empty": conversation.EMPTY}
    say["too_long"] = conversation.TOO_LONG.replace(":,}", "}")
    lists = {
        name: english.split(phrases)
        if isinstance(phrases, str)
        else {meaning: english.split(of_it) for meaning, of_it in phrases.items()}
        for name, phrases in document.items()
        if name != "say"
    }
    return lists | {"say": say}


def _vectors() -> dict[str, str]:
    """Returns the words, separated by spaces, the little-endian float32 scales as Base64, and a character per value."""
    table = word_vectors.load()
    return {
        "words": " ".join(table.words),
        "scales": base64.b64encode(table.scales.astype("<f4").tobytes()).decode(),
        "values": (table.values + ZERO).astype(np.uint8).tobytes().decode("ascii"),
    }


def _names(knowledge: Knowledge) -> dict[str, dict[str, str]]:
    """Returns scientific names by every name of a species, and by the two-word ones alone."""
    found: dict[str, dict[str, str]] = {"all": {}, "binomials": {}}
    for species in knowledge.species:
        for name in (species.scientific_name, *species.common_names, *species.synonyms):
            found["all"][key(name)] = species.scientific_name
            if BINOMIAL.fullmatch(name):
                found["binomials"][key(name)] = species.scientific_name
    return found
