"""Reader of the knowledge base's YAML files, which reports one line per problem."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from butterflyer_jax.app.knowledge.schema import QuestionsFile, SpeciesFile, TopicsFile, key
from butterflyer_jax.errors import UserError

SPECIES_FOLDER = Path(__file__).with_name("species")
TOPICS_FILE = Path(__file__).with_name("topics.yaml")
QUESTIONS_FILE = Path(__file__).with_name("questions.yaml")
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Documents:
    """Content of a folder of species files and of a topics file.

    Attributes:
      species: valid species files, sorted by file name.
      topics: topics file; None if it is not valid.
      problems: one line per problem; the documents are complete only if there are none.
    """

    species: tuple[SpeciesFile, ...]
    topics: TopicsFile | None
    problems: list[str]


def problems(
    folder: str | os.PathLike[str] = SPECIES_FOLDER, topics: str | os.PathLike[str] = TOPICS_FILE
) -> list[str]:
    """Returns one line per problem of a folder of species files and of a topics file.

    Raises:
      UserError: the folder or file is missing, or the folder has no species file.
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
    # Files are compared only where each is valid by itself.
    if not found and of_topics is not None:
        found += shared_names((name, document.names()) for name, document in valid.items())
        found += _equal_texts([*valid.items(), (topics.name, of_topics)])
    return Documents(tuple(valid.values()), of_topics, found)


def read_questions() -> QuestionsFile:
    """Reads the typical questions of this package."""
    return QuestionsFile.model_validate(yaml.safe_load(QUESTIONS_FILE.read_text(encoding="utf-8")))


def shared_names(names: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Returns a line per duplicate name, from (file or species, its names) pairs."""
    owners: dict[str, str] = {}
    found = []
    for owner, own in names:
        for name in own:
            if key(name) in owners:
                found.append(f"{owner}: the name {name} is one of {owners[key(name)]} already")
            owners.setdefault(key(name), owner)
    return found


def _model(file: Path, kind: type[ModelT], found: list[str]) -> ModelT | None:
    """Returns a YAML file as a model; None if it is not valid, with one line per problem added to `found`."""
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
    """Returns the path to a value followed by ": ", with list items counted from 1; "" for the whole file."""
    parts = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in way)
    return f"{parts.removeprefix('.')}: " if parts else ""


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
