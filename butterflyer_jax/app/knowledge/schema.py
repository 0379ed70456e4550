"""Models of the knowledge base's YAML files, and the reader that checks a folder of them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, AnyUrl, BaseModel, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError
from pydantic import model_validator as validator
from pydantic_core import ErrorDetails

from butterflyer_jax.errors import UserError

SPECIES_FOLDER = Path(__file__).with_name("species")
TOPICS_FILE = Path(__file__).with_name("topics.yaml")
QUESTIONS_FILE = Path(__file__).with_name("questions.yaml")

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

# Characters of a text: a fact of a word or two answers nothing, and one of a page is no fact.
FACT_LENGTH = (30, 600)
TOPIC_LENGTH = (100, 1000)
# Of a butterfly, from the smallest blue to Queen Alexandra's birdwing.
WINGSPAN_MM = (10, 300)
BINOMIAL = re.compile(r"[A-Z][a-z]+ [a-z]+(-[a-z]+)?")
_URL = TypeAdapter(AnyUrl)

ModelT = TypeVar("ModelT", bound=BaseModel)


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
    """The page or paper where a fact stands."""

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
    """Facts of a species that can be counted and compared; `winter` are the stages that survive a cold winter."""

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
        """Returns every name that the species is found by."""
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


@dataclass(frozen=True)
class Documents:
    """The content of a folder of species files and of a topics file.

    Attributes:
      species: the valid species files, in the order of their names.
      topics: the topics file; None if it is not valid.
      problems: one line for each problem; the documents are complete only if there are none.
    """

    species: tuple[SpeciesFile, ...]
    topics: TopicsFile | None
    problems: list[str]


def key(name: str) -> str:
    """Returns a name in the one form that all its spellings share: "Danaus_plexippus" as "danaus plexippus"."""
    return " ".join(re.sub(r"[_\-]", " ", unicodedata.normalize("NFKC", name).casefold()).split())


def problems(
    folder: str | os.PathLike[str] = SPECIES_FOLDER, topics: str | os.PathLike[str] = TOPICS_FILE
) -> list[str]:
    """Returns one line for each problem of a folder of species files and of a topics file.

    Raises:
      UserError: there is no such folder or file, or no species file in it.
    """
    return read(folder, topics).problems


def read(folder: str | os.PathLike[str], topics: str | os.PathLike[str]) -> Documents:
    """Reads and checks a folder of species files and a topics file; raises as `problems` does."""
    folder, topics = Path(folder), Path(topics)
    if not folder.is_dir():
        raise UserError(f"no such folder of species files: {folder}")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise UserError(f"no species files in {folder}: they are named such as Danaus_plexippus.yaml")
    if not topics.is_file():
        raise UserError(f"no such file of topics: {topics}")
    found: list[str] = []
    species = {file.name: _model(file, SpeciesFile, found) for file in files}
    of_topics = _model(topics, TopicsFile, found)
    valid = {name: document for name, document in species.items() if document is not None}
    for name, document in valid.items():
        if name != (right := f"{document.scientific_name.replace(' ', '_')}.yaml"):
            found.append(f"{name}: is named otherwise than its species: call it {right}")
    # Comparisons between files need files that are valid by themselves.
    if not found and of_topics is not None:
        found += shared_names((name, document.names()) for name, document in valid.items())
        found += _equal_texts([*valid.items(), (topics.name, of_topics)])
    return Documents(tuple(valid.values()), of_topics, found)


def read_questions() -> QuestionsFile:
    """Reads our typical questions."""
    return QuestionsFile.model_validate(yaml.safe_load(QUESTIONS_FILE.read_text(encoding="utf-8")))


def shared_names(names: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Returns a line for each name that stands twice, from (file or species, its names)."""
    owners: dict[str, str] = {}
    found = []
    for owner, own in names:
        for name in own:
            if key(name) in owners:
                found.append(f"{owner}: the name {name} is one of {owners[key(name)]} already")
            owners.setdefault(key(name), owner)
    return found


def _model(file: Path, kind: type[ModelT], found: list[str]) -> ModelT | None:
    """Returns a YAML file as a model; None if it is not valid, with a line for each problem added to `found`."""
    try:
        return kind.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        found += [f"{file.name}: {line}" for detail in error.errors() for line in _lines(detail)]
    except UnicodeDecodeError:
        found.append(f"{file.name}: is not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        found.append(f"{file.name}{line}: is not YAML: {error.problem}")
    except yaml.YAMLError as error:
        found.append(f"{file.name}: is not YAML: {' '.join(str(error).split())}")
    return None


def _lines(error: ErrorDetails) -> list[str]:
    """Returns a pydantic error as lines such as "facts.range.text: must end with a period"."""
    *way, last = error["loc"] or ("",)
    if error["type"] == "missing":
        return [f"{_place(way)}has no {last}"]
    if error["type"] == "extra_forbidden":
        return [f"{_place(way)}has the unknown key {last!r}"]
    message = error["msg"].removeprefix("Value error, ")
    return [f"{_place(error['loc'])}{line}" for line in message.splitlines()]


def _place(way: Sequence[int | str]) -> str:
    """Returns the way to a value, with list items counted from 1 and the text ": " behind it; "" for the whole file."""
    parts = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in way)
    return f"{parts.removeprefix('.')}: " if parts else ""


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


def _equal_texts(documents: Iterable[tuple[str, SpeciesFile | TopicsFile]]) -> list[str]:
    first: dict[str, str] = {}
    found = []
    for file, document in documents:
        for place, entry in document.texts():
            text = key(entry.text)
            if text in first:
                found.append(f"{file}: {place}: the text is the same as that of {first[text]}")
            first.setdefault(text, f"{file}: {place}")
    return found
