"""Knowledge base: facts on species and on butterflies in general, with sources."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from butterflyer_jax.app.knowledge import reader, schema
from butterflyer_jax.app.knowledge.reader import SPECIES_FOLDER, TOPICS_FILE, problems
from butterflyer_jax.app.knowledge.schema import BINOMIAL, KINDS, TITLES, key
from butterflyer_jax.errors import UserError

__all__ = [
    "KINDS",
    "TITLES",
    "Source",
    "Fact",
    "LookAlike",
    "Species",
    "Passage",
    "Knowledge",
    "load",
    "problems",
]


@dataclass(frozen=True)
class Source:
    """Source of a fact: title of the page or paper, publisher, and https address."""

    title: str
    publisher: str
    url: str


@dataclass(frozen=True)
class Fact:
    """A fact about a species; its kind is one of `KINDS`."""

    kind: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class LookAlike:
    """A similar species, and how to distinguish the two."""

    name: str
    scientific_name: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Species:
    """A species with its names and facts.

    Attributes:
      scientific_name: genus and species.
      common_names: English names; the first is displayed.
      synonyms: other scientific names, and labels of data sets.
      facts: facts by kind, one for each of `KINDS`.
      look_alikes: similar species, possibly none.
      wingspan_mm: smallest and largest wingspan, millimetres.
      continents: continents where it lives; empty where not recorded.
      winter: life stages that survive a cold winter.
      migrates: whether the species migrates.
    """

    scientific_name: str
    common_names: tuple[str, ...]
    synonyms: tuple[str, ...]
    facts: dict[str, Fact]
    look_alikes: tuple[LookAlike, ...]
    wingspan_mm: tuple[int, int]
    continents: tuple[str, ...] = ()
    winter: tuple[str, ...] = ()
    migrates: bool = False

    @property
    def name(self) -> str:
        """The displayed common name."""
        return self.common_names[0]


@dataclass(frozen=True)
class Passage:
    """A fact, look-alike or topic in the form that retrieval searches.

    Attributes:
      kind: one of `KINDS`, "look_alikes" or "topic".
      species: scientific name; None for a topic.
    """

    title: str
    text: str
    sources: tuple[Source, ...]
    kind: str
    species: str | None


@dataclass(frozen=True)
class Knowledge:
    """The species and the topics, such as `load().find("Danaus_plexippus")`.

    Attributes:
      species: all species.
      topics: passages about butterflies in general.
      questions: typical questions, by the kind of fact or the title of the topic that answers them.
    """

    species: tuple[Species, ...]
    topics: tuple[Passage, ...]
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def questions_of(self, passage: Passage) -> tuple[str, ...]:
        """Returns the typical questions that a passage answers; those about a species call it "it"."""
        return self.questions.get(passage.title if passage.species is None else passage.kind, ())

    @functools.cached_property
    def passages(self) -> tuple[Passage, ...]:
        """One passage per fact, look-alike and topic."""
        return (*(passage for species in self.species for passage in _passages(species)), *self.topics)

    def find(self, label: str) -> Species | None:
        """Returns the species of a scientific name, common name or synonym; None for an unknown one.

        Case is ignored, and underscores and hyphens count as spaces. Text after genus and species is ignored,
        so "Heliconius erato favorinus" and "Vanessa cardui (Linnaeus, 1758)" are found.
        """
        name = key(label)
        return self._by_name.get(name) or self._by_binomial.get(" ".join(name.split()[:2]))

    @functools.cached_property
    def _by_name(self) -> dict[str, Species]:
        return {key(name): species for species in self.species for name in _names(species)}

    @functools.cached_property
    def _by_binomial(self) -> dict[str, Species]:
        return {key(name): species for species in self.species for name in _names(species) if BINOMIAL.fullmatch(name)}


def load(folder: str | os.PathLike[str] | None = None, extra: str | os.PathLike[str] | None = None) -> Knowledge:
    """Returns the knowledge base.

    Args:
      folder: folder of species files; by default those of this package, which are cached.
      extra: folder of more species files, which replace species of the same name.

    Raises:
      UserError: a folder is missing, a file has a problem, or two species share a name.
    """
    base = _ours() if folder is None else _read(folder)
    if extra is None:
        return base
    more = _read(extra)
    merged = {species.scientific_name: species for species in (*base.species, *more.species)}
    if shared := reader.shared_names((name, _names(species)) for name, species in merged.items()):
        raise UserError(f"species of {os.fspath(extra)}: {shared[0]}")
    return Knowledge(tuple(merged.values()), base.topics, base.questions)


@functools.cache
def _ours() -> Knowledge:
    return _read(SPECIES_FOLDER)


def _read(folder: str | os.PathLike[str]) -> Knowledge:
    documents = reader.read(folder, TOPICS_FILE)
    if documents.problems or documents.topics is None:
        first, *more = documents.problems
        rest = f" ({len(more)} more: butterflyer app.knowledge {os.fspath(folder)})" if more else ""
        raise UserError(f"species files in {os.fspath(folder)}: {first}{rest}")
    sources = documents.topics.sources
    topics = (
        Passage(topic.title, topic.text, _sources(topic.sources, sources), "topic", None)
        for topic in documents.topics.topics
    )
    questions = reader.read_questions()
    typical = {name: tuple(asked) for name, asked in (questions.kinds | questions.topics).items()}
    return Knowledge(tuple(map(_species, documents.species)), tuple(topics), typical)


def _species(document: schema.SpeciesFile) -> Species:
    facts = {kind: getattr(document.facts, kind) for kind in KINDS}
    low, high = document.facts.wingspan.millimetres
    traits = document.traits or schema.TraitsEntry(continents=[], winter=[], migrates=False)
    return Species(
        document.scientific_name,
        tuple(document.common_names),
        tuple(document.synonyms),
        {kind: Fact(kind, fact.text, _sources(fact.sources, document.sources)) for kind, fact in facts.items()},
        tuple(
            LookAlike(other.name, other.scientific_name, other.text, _sources(other.sources, document.sources))
            for other in document.look_alikes
        ),
        (low, high),
        tuple(traits.continents),
        tuple(traits.winter),
        traits.migrates,
    )


def _sources(names: Sequence[str], sources: Mapping[str, schema.SourceEntry]) -> tuple[Source, ...]:
    return tuple(Source(**sources[name].model_dump()) for name in names)


def _names(species: Species) -> tuple[str, ...]:
    return (species.scientific_name, *species.common_names, *species.synonyms)


def _passages(species: Species) -> list[Passage]:
    name = f"{species.name} ({species.scientific_name})"
    facts = [
        Passage(f"{name}: {TITLES[kind]}", fact.text, fact.sources, kind, species.scientific_name)
        for kind, fact in species.facts.items()
    ]
    look_alikes = [
        Passage(
            f"{name}: Look-alike {other.name} ({other.scientific_name})",
            other.text,
            other.sources,
            "look_alikes",
            species.scientific_name,
        )
        for other in species.look_alikes
    ]
    return facts + look_alikes
