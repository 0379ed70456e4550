"""Answers from facts of several species: comparisons of size, counts, and lists of species with a property."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from butterflyer_jax.app.chat.questions import BUTTERFLY, Asked, Question, Reader
from butterflyer_jax.app.knowledge.base import Knowledge, Source, Species

LARGEST, SMALLEST = frozenset({"biggest", "largest", "widest"}), frozenset({"smallest", "tiniest"})
SIZE = frozenset({"big", "bigger", "large", "larger", "small", "smaller", "size", "wingspan", "wider"})
# Words that refer to the species of the knowledge base, not to all butterflies of the world.
OURS = frozenset({"know", "these", "those", "them", "your", "list", "ones", "recognise", "recognize", "identify"})
HEADS = frozenset(["butterfly", "butterflies", "species", "ones", "one", "of", "caterpillar", "caterpillars"])
# The only further stems allowed in a question such as "which is the largest?".
EXTREME = frozenset({"biggest", "tiniest", "one"})
WORLD = frozenset({"world", "earth", "planet"})
CONTINENTS = {
    "Africa": ("africa", "african"),
    "Asia": ("asia", "asian"),
    "Australia": ("australia", "australian"),
    "Europe": ("europe", "european"),
    "North America": ("america", "american"),
    "South America": ("america", "american"),
}
COLOURS = frozenset(["black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow"])
MARKS = frozenset(["eyespots", "spots", "stripes", "striped", "tail", "tails"])
WINTER = frozenset({"winter", "hibern", "cold", "surviv"})
STAGES = ("egg", "caterpillar", "chrysalis", "adult")
# Stems of facts that state a property, and those of questions about it.
LISTED = (("host_plants", {"eat", "hostplant", "plant", "lay"}), ("family", {"famili", "belong", "genus", "relat"}))


@dataclass(frozen=True)
class Line:
    """A sentence of an answer, or a part of one, with its sources."""

    text: str
    sources: tuple[Source, ...]


class Comparer:
    """Comparison of the species of a knowledge base."""

    def __init__(self, knowledge: Knowledge, reader: Reader) -> None:
        self._knowledge = knowledge
        self._reader = reader

    def compare(self, asked: Asked) -> list[Line]:
        """Returns the sentences that answer a question about several species; none for other questions."""
        question = asked.question
        words = frozenset(question.words)
        named = [species for name in asked.about if (species := self._knowledge.find(name))]
        if len(named) > 1 and words & (SIZE | LARGEST | SMALLEST):
            return self._sizes(named)
        # No trait of a species is about prices or songs.
        other_matters = not self._reader.beyond.isdisjoint(question.stems)
        if question.species or question.of_photo or other_matters or not self._knowledge.species:
            return []
        ours = bool(words & OURS) or "species" in words
        if words & (LARGEST | SMALLEST) and not words & WORLD and (ours or not set(question.stems) - EXTREME):
            return self._extreme(smallest=bool(words & SMALLEST)) if not self._names_a_topic(question) else []
        if _asks_for_list(words):
            return self._all()
        if _asks_for_species(question.words):
            return self._having(question, words)
        return []

    def _names_a_topic(self, question: Question) -> bool:
        return bool({"famili", "caterpillar", "egg", "moth"} & set(question.stems))

    def _sizes(self, named: Sequence[Species]) -> list[Line]:
        ranked = sorted(named, key=lambda species: -sum(species.wingspan_mm))
        lines = [Line(f"{_the(one)}: {_span(one)}", one.facts["wingspan"].sources) for one in ranked]
        first, last = ranked[0], ranked[-1]
        overlap = first.wingspan_mm[0] < last.wingspan_mm[1]
        text = f"{_the(first)} is {'mostly' if overlap else 'always'} larger than {_the(last, capital=False)}."
        if first.wingspan_mm[0] <= last.wingspan_mm[0] or first.wingspan_mm[1] <= last.wingspan_mm[1]:
            # The range of sizes of one contains that of the other.
            text = f"{_the(first)} and {_the(last, capital=False)} are about the same size."
        return [Line(text, ()), *lines]

    def _extreme(self, smallest: bool) -> list[Line]:
        def key(species: Species) -> int:
            return species.wingspan_mm[0] if smallest else -species.wingspan_mm[1]

        ranked = sorted(self._knowledge.species, key=key)
        word = "smallest" if smallest else "largest"
        first = f"Of the {len(ranked)} species that I know, {_the(ranked[0], capital=False)} is the {word}, with a "
        lines = [Line(f"{first}wingspan of {_span(ranked[0])}.", ranked[0].facts["wingspan"].sources)]
        if len(ranked) > 1:
            next_one = f"After it comes {_the(ranked[1], capital=False)} with {_span(ranked[1])}."
            lines.append(Line(next_one, ranked[1].facts["wingspan"].sources))
        return lines

    def _all(self) -> list[Line]:
        species = self._knowledge.species
        return [Line(f"I know {len(species)} species: {_listed(one.name for one in species)}.", ())]

    def _having(self, question: Question, words: frozenset[str]) -> list[Line]:
        """Returns sentences on the species with the property in a question."""
        places = {place for place, names in CONTINENTS.items() if words & set(names)}
        if "south" in words:
            places.discard("North America")
        if "north" in words:
            places.discard("South America")
        if places:
            return self._list("range", f"live in {_listed(sorted(places))}", lambda s: bool(places & set(s.continents)))
        stems = set(question.stems)
        if "migrat" in stems and not words & {"farthest", "furthest", "why", "how"}:
            return self._list("life_cycle", "migrate or move north again each year", lambda s: s.migrates)
        if stems & WINTER:
            stages = [stage for stage in STAGES if stage in words or f"{stage}s" in words]
            stages = stages or (["adult"] if words & {"butterfly", "butterflies"} else [])
            if stages:
                return self._list(
                    "life_cycle",
                    f"pass a cold winter as {_listed(stages)}",
                    lambda s: bool(set(stages) & set(s.winter)),
                )
        if marks := words & (COLOURS | MARKS):
            wanted = set(self._reader.stems_of(" ".join(marks)))
            return self._list(
                "identification", f"are described as {_listed(sorted(marks))}", self._holds("identification", wanted)
            )
        for kind, asked in LISTED:
            rest = stems - asked - {BUTTERFLY, "caterpillar", "know", "mani", "grow", "live"}
            if rest and (stems & asked or kind == "family"):
                found = self._list(kind, "", self._holds(kind, rest))
                if found:
                    return found
        return []

    def _holds(self, kind: str, stems: set[str]) -> Callable[[Species], bool]:
        return lambda species: stems <= set(self._reader.stems_of(species.facts[kind].text))

    def _list(self, kind: str, doing: str, has: Callable[[Species], bool]) -> list[Line]:
        found = [species for species in self._knowledge.species if has(species)]
        if not found:
            return []
        sources = tuple(dict.fromkeys(source for species in found for source in species.facts[kind].sources[:1]))
        count = f"{len(found)} of the {len(self._knowledge.species)} species that I know"
        names = _listed(species.name for species in found)
        if doing:
            return [Line(f"{names}: {count} {doing}.", sources)]
        facts = [Line(f"{species.name}: {species.facts[kind].text}", species.facts[kind].sources) for species in found]
        return [Line(f"{names} ({count}).", ()), *facts] if len(found) > 1 else facts


def _asks_for_species(words: Sequence[str]) -> bool:
    """Returns whether a question asks for species, as in "which of them" and "how many species"."""
    plain = [word for word in words if word not in COLOURS]
    # "Why are there so many butterflies?" does not ask for a list.
    heads = [one for one, other in itertools.pairwise(plain) if other in HEADS]
    return any(one in ("which", "what", "any") or (one == "many" and "how" in plain) for one in heads)


def _asks_for_list(words: frozenset[str]) -> bool:
    counted = bool(words & {"species", "butterflies", "kinds", "types", "ones", "names"})
    ours = bool(words & {"know", "recognise", "recognize", "identify", "list", "name"} and "you" in words)
    return counted and (ours or {"you", "tell", "about"} <= words) and bool(words & {"which", "what", "how", "list"})


def _the(species: Species, capital: bool = True) -> str:
    return f"{'The' if capital else 'the'} {species.name} ({species.scientific_name})"


def _span(species: Species) -> str:
    low, high = species.wingspan_mm
    return f"{low} to {high} mm"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
