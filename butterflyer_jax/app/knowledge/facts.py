"""Facts about a species with their sources, as the page displays them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from butterflyer_jax.app.knowledge.base import KINDS, TITLES, Knowledge, Source


def facts(knowledge: Knowledge, label: str) -> dict[str, Any]:
    """Returns the facts for a label of a run.

    A dict of known, label, name, scientific_name, facts (title, text, sources), look_alikes (name, scientific_name,
    text, sources) and sources (title, publisher, url), to which the numbers in the other entries refer, from 1. For a
    species that the knowledge base lacks, known is False and the lists are empty.
    """
    species = knowledge.find(label)
    if species is None:
        return {"known": False, "label": label, "name": label, "facts": [], "look_alikes": [], "sources": []}
    sources: list[Source] = []

    def numbers(of: Sequence[Source]) -> list[int]:
        for source in of:
            if source not in sources:
                sources.append(source)
        return [sources.index(source) + 1 for source in of]

    shown = [
        {"kind": kind, "title": TITLES[kind], "text": fact.text, "sources": numbers(fact.sources)}
        for kind in KINDS
        if (fact := species.facts.get(kind)) is not None
    ]
    look_alikes = [
        {
            "name": other.name,
            "scientific_name": other.scientific_name,
            "text": other.text,
            "sources": numbers(other.sources),
        }
        for other in species.look_alikes
    ]
    return {
        "known": True,
        "label": label,
        "name": species.name,
        "scientific_name": species.scientific_name,
        "facts": shown,
        "look_alikes": look_alikes,
        "sources": [asdict(source) for source in sources],
    }
