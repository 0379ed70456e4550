"""What files of the knowledge base must look like: reads them, and says of each what is wrong."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from butterflyer_jax.errors import UserError

SPECIES_FOLDER = Path(__file__).with_name("species")
TOPICS_FILE = Path(__file__).with_name("topics.yaml")

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
_SPECIES_KEYS = ("scientific_name", "common_names", "synonyms", "sources", "facts", "look_alikes")
_SOURCE_KEYS = ("title", "publisher", "url")


@dataclass(frozen=True)
class Documents:
    """What the files hold.

    Attributes:
      species: the document of each species file, in the order of their names.
      topics: the document of the topics file.
      problems: what is wrong, a line each; only where there are none can the documents be relied on.
    """

    species: tuple[Any, ...]
    topics: Any
    problems: list[str]


def key(name: str) -> str:
    """Returns a name in the one form that all its spellings share: "Danaus_plexippus" as "danaus plexippus"."""
    return " ".join(re.sub(r"[_\-]", " ", unicodedata.normalize("NFKC", name).casefold()).split())


def problems(
    folder: str | os.PathLike[str] = SPECIES_FOLDER, topics: str | os.PathLike[str] = TOPICS_FILE
) -> list[str]:
    """Returns what is wrong with a folder of species files and with a file of topics, a line each.

    Raises:
      UserError: there is no such folder or file, no species file in it, or PyYAML is not installed.
    """
    return read(folder, topics).problems


def read(folder: str | os.PathLike[str], topics: str | os.PathLike[str]) -> Documents:
    """Reads and checks a folder of species files and a file of topics; raises as `problems` does."""
    folder, topics = Path(folder), Path(topics)
    if not folder.is_dir():
        raise UserError(f"no such folder of species files: {folder}")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise UserError(f"no species files in {folder}: they are named such as Danaus_plexippus.yaml")
    if not topics.is_file():
        raise UserError(f"no such file of topics: {topics}")
    found: list[str] = []
    documents = {}
    for file in [*files, topics]:
        try:
            documents[file] = _parse(file)
        except ValueError as error:
            found.append(f"{file.name}{error}")
    species = {file: documents[file] for file in files if file in documents}
    for file, document in species.items():
        found += [f"{file.name}: {problem}" for problem in _species_problems(file, document)]
    if topics in documents:
        found += [f"{topics.name}: {problem}" for problem in _topics_problems(documents[topics])]
    # What is compared over files needs files that are well formed.
    if not found:
        found += shared_names((file.name, all_names(document)) for file, document in species.items())
        found += _equal_texts({file.name: document for file, document in documents.items()})
    return Documents(tuple(species.values()), documents.get(topics), found)


def all_names(species: Mapping[str, Any]) -> list[str]:
    """Returns every name that a species is found by."""
    return [species["scientific_name"], *species["common_names"], *species["synonyms"]]


def shared_names(names: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Returns a line for each name that stands twice, of (file or species, its names)."""
    owners: dict[str, str] = {}
    found = []
    for owner, own in names:
        for name in own:
            if key(name) in owners:
                found.append(f"{owner}: the name {name} is one of {owners[key(name)]} already")
            owners.setdefault(key(name), owner)
    return found


def _parse(file: Path) -> Any:
    """Returns a YAML document; raises ValueError with what stands after the file's name in a problem."""
    try:
        import yaml
    except ImportError as error:
        raise UserError("install the extra app: uv pip install -c requirements.lock -e '.[app]'") from error
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(": is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{line}: is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(f": is not YAML: {' '.join(str(error).split())}") from error


def _species_problems(file: Path, document: Any) -> Iterator[str]:
    yield from _key_problems(document, _SPECIES_KEYS)
    if not _has(document, _SPECIES_KEYS):
        return
    name = document["scientific_name"]
    if not isinstance(name, str) or not BINOMIAL.fullmatch(name):
        yield f"scientific_name {name!r} must be genus and species, such as Danaus plexippus"
    elif file.stem != name.replace(" ", "_"):
        yield f"is named otherwise than its species: call it {name.replace(' ', '_')}.yaml"
    yield from _list_problems("common_names", document["common_names"], least=1)
    yield from _list_problems("synonyms", document["synonyms"], least=0)
    used: set[str] = set()
    facts = document["facts"]
    yield from (f"facts: {problem}" for problem in _key_problems(facts, KINDS))
    if isinstance(facts, dict):
        for kind, fact in facts.items():
            keys = ("text", "sources", *(("millimetres",) if kind == "wingspan" else ()))
            yield from _text_problems(f"facts.{kind}", fact, keys, FACT_LENGTH, document["sources"], used)
        yield from _wingspan_problems(facts.get("wingspan"))
    keys = ("name", "scientific_name", "text", "sources")
    for where, look_alike in _entries("look_alikes", document["look_alikes"]):
        yield from _text_problems(where, look_alike, keys, FACT_LENGTH, document["sources"], used)
        if _has(look_alike, keys) and not BINOMIAL.fullmatch(str(look_alike["scientific_name"])):
            yield f"{where}: scientific_name must be genus and species, not {look_alike['scientific_name']!r}"
    if not isinstance(document["look_alikes"], list):
        yield "look_alikes must be a list"
    yield from _source_problems(document["sources"], used)


def _topics_problems(document: Any) -> Iterator[str]:
    yield from _key_problems(document, ("sources", "topics"))
    if not _has(document, ("sources", "topics")):
        return
    if not isinstance(document["topics"], list):
        yield "topics must be a list"
    used: set[str] = set()
    for where, topic in _entries("topics", document["topics"]):
        yield from _text_problems(where, topic, ("title", "text", "sources"), TOPIC_LENGTH, document["sources"], used)
    titles = Counter(key(str(t["title"])) for _, t in _entries("", document["topics"]) if _has(t, ("title",)))
    yield from (f"topics: the title {title!r} stands {count} times" for title, count in titles.items() if count > 1)
    yield from _source_problems(document["sources"], used)


def _text_problems(
    where: str, entry: Any, keys: tuple[str, ...], length: tuple[int, int], sources: Any, used: set[str]
) -> Iterator[str]:
    """Checks what every entry has, a text and its sources, and that its other values are there."""
    yield from (f"{where}: {problem}" for problem in _key_problems(entry, keys))
    if not _has(entry, keys):
        return
    for name in keys:
        if name in ("sources", "millimetres"):
            continue
        if not isinstance(entry[name], str) or not entry[name].strip():
            yield f"{where}: {name} must be text, not {entry[name]!r}"
    text = entry["text"]
    if isinstance(text, str):
        if not text.endswith("."):
            yield f"{where}: the text must end with a period"
        if not length[0] <= len(text) <= length[1]:
            yield f"{where}: the text has {len(text)} characters, and must have {length[0]} to {length[1]}"
    names = entry["sources"]
    if not isinstance(names, list) or not names:
        yield f"{where}: must name at least one source, as a list"
        return
    for name in map(str, names):
        used.add(name)
        if not isinstance(sources, dict) or name not in sources:
            yield f"{where}: the source {name!r} is not among the sources"


def _wingspan_problems(fact: Any) -> Iterator[str]:
    if not _has(fact, ("text", "millimetres")):
        return
    span = fact["millimetres"]
    if not isinstance(span, list) or len(span) != 2 or not all(type(mm) is int for mm in span):
        yield f"facts.wingspan: millimetres must be two whole numbers, such as [86, 124], not {span!r}"
    elif not WINGSPAN_MM[0] <= span[0] < span[1] <= WINGSPAN_MM[1]:
        yield f"facts.wingspan: millimetres must ascend, between {WINGSPAN_MM[0]} and {WINGSPAN_MM[1]}, not {span}"
    elif f"{span[0]} to {span[1]} mm" not in str(fact["text"]):
        yield f"facts.wingspan: the text must say '{span[0]} to {span[1]} mm', as millimetres does"


def _source_problems(sources: Any, used: set[str]) -> Iterator[str]:
    if not isinstance(sources, dict):
        yield "sources must be a mapping of a key to title, publisher and url"
        return
    for name, source in sources.items():
        yield from (f"sources.{name}: {problem}" for problem in _key_problems(source, _SOURCE_KEYS))
        if not _has(source, _SOURCE_KEYS):
            continue
        yield from (
            f"sources.{name}: {field} must be text, not {source[field]!r}"
            for field in _SOURCE_KEYS
            if not isinstance(source[field], str) or not source[field].strip()
        )
        if not _is_https(str(source["url"])):
            yield f"sources.{name}: the url must begin with https:// and a host, not {source['url']!r}"
        if str(name) not in used:
            yield f"sources.{name}: is not used by any text"


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and "." in parts.netloc and not re.search(r"\s", url)


def _key_problems(entry: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"must have the keys {', '.join(keys)}, not be {entry!r:.40}"
        return
    yield from (f"has no {name}" for name in keys if name not in entry)
    yield from (f"has the unknown key {name!r}: known are {', '.join(keys)}" for name in entry if name not in keys)


def _has(entry: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(entry, dict) and all(name in entry for name in keys)


def _list_problems(where: str, names: Any, least: int) -> Iterator[str]:
    if not isinstance(names, list) or len(names) < least:
        yield f"{where} must be a list of {f'at least {least} name' if least else 'names, empty if there are none'}"
    elif not all(isinstance(name, str) and name.strip() for name in names):
        yield f"{where} must be names, each a text, not {names!r}"


def _entries(where: str, entries: Any) -> list[tuple[str, Any]]:
    return [(f"{where}[{i}]", entry) for i, entry in enumerate(entries, 1)] if isinstance(entries, list) else []


def _equal_texts(documents: Mapping[str, Any]) -> list[str]:
    first: dict[str, str] = {}
    found = []
    for file, document in documents.items():
        facts = [(f"facts.{kind}", fact) for kind, fact in document.get("facts", {}).items()]
        lists = [pair for name in ("look_alikes", "topics") for pair in _entries(name, document.get(name))]
        for where, entry in [*facts, *lists]:
            text = key(entry["text"])
            if text in first:
                found.append(f"{file}: {where}: the text is the same as that of {first[text]}")
            first.setdefault(text, f"{file}: {where}")
    return found
