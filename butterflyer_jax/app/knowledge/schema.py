"""Pydantic models of the knowledge base's YAML files, which `app.knowledge.reader` reads."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AnyUrl, BaseModel, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError
from pydantic import model_validator as validator

TITLES = {
    "names": "Names",
    "family": "Family",
    "identification": "How to recognise it",
    "wingspan": "Wingspan",
    "range": "Range",
    "habitat": "Habitat",
    "host_plants": "Host plants",
    "flight_season": "Flight season",
    "life_cycle": "Life cycle",
    "conservation": "Conservation",
}
KINDS = tuple(TITLES)

# Limits of a text in characters: a word or two answer nothing, and a page is not one fact.
FACT_LENGTH = (30, 600)
TOPIC_LENGTH = (100, 1000)
# Limits of a wingspan, from the smallest blue to Queen Alexandra's birdwing.
WINGSPAN_MM = (10, 300)
BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z]+(-[a-z]+)?")
_URL = TypeAdapter(AnyUrl)


def _binomial(name: str) -> str:
    if not BINOMIAL.fullmatch(name):
        raise ValueError(f"{name!r} must be genus and species, such as Danaus plexippus")
    return name


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError(f"must be text, not {text!r}")
    return text


def _https(url: str) -> str:
    try:
        parsed = _URL.validate_python(url)
    except ValidationError:
        parsed = None
    if parsed is None or parsed.scheme != "https" or "." not in (parsed.host or "") or re.search(r"\s", url):
        raise ValueError(f"must begin with https:// and a host, not {url!r}")
    return url


def _text(length: tuple[int, int]) -> AfterValidator:
    def check(text: str) -> str:
        if not text.endswith("."):
            raise ValueError("must end with a period")
        if not length[0] <= len(text) <= length[1]:
            raise ValueError(f"has {len(text)} characters, and must have {length[0]} to {length[1]}")
        return text

    return AfterValidator(check)


Name = Annotated[StrictStr, AfterValidator(_filled)]
Binomial = Annotated[StrictStr, AfterValidator(_binomial)]
SourceKeys = Annotated[list[StrictStr], Field(min_length=1)]
FactText = Annotated[StrictStr, _text(FACT_LENGTH)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SourceEntry(_Entry):
    """The page or paper that states a fact."""

    title: Name
    publisher: Name
    url: Annotated[StrictStr, AfterValidator(_https)]


class FactEntry(_Entry):
    """A fact of a species; `sources` are keys of the file's sources."""

    text: FactText
    sources: SourceKeys


class WingspanEntry(FactEntry):
    """The wingspan, in words and as a range in millimetres."""

    millimetres: Annotated[list[Annotated[int, Field(strict=True)]], Field(min_length=2, max_length=2)]

    @validator(mode="after")
    def _agrees(self) -> WingspanEntry:
        low, high = self.millimetres
        if not WINGSPAN_MM[0] <= low < high <= WINGSPAN_MM[1]:
            raise ValueError(f"millimetres must ascend, between {WINGSPAN_MM[0]} and {WINGSPAN_MM[1]}")
        if f"{low} to {high} mm" not in self.text:
            raise ValueError(f"the text must say '{low} to {high} mm', as millimetres does")
        return self


class FactsEntry(_Entry):
    """One fact of every kind."""

    names: FactEntry
    family: FactEntry
    identification: FactEntry
    wingspan: WingspanEntry
    range: FactEntry
    habitat: FactEntry
    host_plants: FactEntry
    flight_season: FactEntry
    life_cycle: FactEntry
    conservation: FactEntry


class LookAlikeEntry(FactEntry):
    """A species that is easily confused with the one of the file."""

    name: Name
    scientific_name: Binomial


class TraitsEntry(_Entry):
    """Comparable properties of a species; `winter` lists the stages that survive a cold winter."""

    continents: list[Literal["Africa", "Asia", "Australia", "Europe", "North America", "South America"]]
    winter: list[Literal["egg", "caterpillar", "chrysalis", "adult"]]
    migrates: bool


class SpeciesFile(_Entry):
    """A species file, such as Danaus_plexippus.yaml."""

    scientific_name: Binomial
    common_names: Annotated[list[Name], Field(min_length=1)]
    synonyms: list[Name]
    sources: dict[StrictStr, SourceEntry]
    facts: FactsEntry
    look_alikes: list[LookAlikeEntry]
    traits: TraitsEntry | None = None

    @validator(mode="after")
    def _cites(self) -> SpeciesFile:
        _check_sources(self.sources, self.texts())
        return self

    def names(self) -> list[str]:
        """Returns every name of the species."""
        return [self.scientific_name, *self.common_names, *self.synonyms]

    def texts(self) -> Iterator[tuple[str, FactEntry]]:
        """Yields the place and the entry of every text."""
        yield from ((f"facts.{kind}", getattr(self.facts, kind)) for kind in KINDS)
        yield from ((f"look_alikes[{n}]", other) for n, other in enumerate(self.look_alikes, 1))


class TopicEntry(_Entry):
    """A passage about butterflies in general."""

    title: Name
    text: Annotated[StrictStr, _text(TOPIC_LENGTH)]
    sources: SourceKeys


class TopicsFile(_Entry):
    """The file of topics."""

    sources: dict[StrictStr, SourceEntry]
    topics: list[TopicEntry]

    @validator(mode="after")
    def _cites(self) -> TopicsFile:
        titles = Counter(key(topic.title) for topic in self.topics)
        if twice := [title for title, count in titles.items() if count > 1]:
            raise ValueError(f"topics: the title {twice[0]!r} stands {titles[twice[0]]} times")
        _check_sources(self.sources, self.texts())
        return self

    def texts(self) -> Iterator[tuple[str, TopicEntry]]:
        """Yields the place and the entry of every text."""
        yield from ((f"topics[{n}]", topic) for n, topic in enumerate(self.topics, 1))


class QuestionsFile(_Entry):
    """Typical questions, by the kind of fact and by the title of the topic that answers them."""

    kinds: dict[StrictStr, list[Name]]
    topics: dict[StrictStr, list[Name]]


def key(name: str) -> str:
    """Returns the normal form of a name: "danaus plexippus" for "Danaus_plexippus"."""
    return " ".join(re.sub(r"[_\-]", " ", unicodedata.normalize("NFKC", name).casefold()).split())


def _check_sources(sources: dict[str, SourceEntry], texts: Iterable[tuple[str, Any]]) -> None:
    used: set[str] = set()
    found = []
    for place, entry in texts:
        used.update(entry.sources)
        found += [
            f"{place}: the source {name!r} is not among the sources" for name in entry.sources if name not in sources
        ]
    found += [f"sources.{name}: is not used by any text" for name in sources if name not in used]
    if found:
        raise ValueError("\n".join(found))
