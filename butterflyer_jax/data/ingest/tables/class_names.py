"""Names of numbered classes: classes.txt, label maps, data.yaml, tables of numbers and names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import LABEL, Table, named
from butterflyer_jax.errors import UserError

# A list has the names in order; a map has them by number.
ClassNames = list[str] | dict[int, str]

_FILES = re.compile(
    r"(?:_?class(?:es|names?|labels?|list|index|indices|map)?|labels?(?:names?|map|list|s)?|names|objnames?|obj|cattoname|"
    r"categor(?:y|ies)(?:names?)?|species(?:names?|list)?|(?:idx|id|index)(?:to|2)(?:label|class|name|species)|synsets?|"
    r"synsetwords|(?:label|class)?mapp?(?:ing)?|legend|key|config|data|dataset)"
)
_NUMBERS = words.listed(
    """
    id classid labelid categoryid speciesid index idx number class label category target
    """
)
_NAMES = ["name", "classname", "labelname", *LABEL]
_YAML_ITEM = re.compile(r"\s*(?:-\s*|(\d+)\s*:\s*)['\"]?(.*?)['\"]?\s*")


def parse(content: str, path: PurePosixPath) -> ClassNames | None:
    """Returns the names of classes in a text, JSON or YAML file that is named after them; None where it has none."""
    squeezed = words.squeeze(path.stem)
    if not _FILES.fullmatch(squeezed):
        return None
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(content)
    if suffix in (".yaml", ".yml"):
        return _of_yaml(content)
    if suffix == ".pbtxt":
        return _of_pbtxt(content)
    if suffix not in (".txt", ".names"):
        return None
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    numbered = [re.fullmatch(r"(\d+)\s*[\s,:;=\t]\s*(.*\D.*)", line) for line in lines]
    if lines and all(numbered):
        return {int(found[1]): words.plain(found[2]) for found in numbered if found}
    if any(re.search(r"[,;\t]|\.\w{3,4}(\s|$)", line) for line in lines) or len(set(lines)) != len(lines):
        return None
    return [words.plain(line) for line in lines] if len(lines) > 1 else None


def of_table(table: Table) -> dict[int, str] | None:
    """Returns the names in a table that has a number and a name a class, None where it is none."""
    if len(table.columns) == 2 and table.header and table.columns[0].isdigit() and not table.columns[1].isdigit():
        # Its first line is no header.
        table = Table(table.name, ("id", "name"), [table.columns, *table.rows])
    for number in named(table, _NUMBERS):
        values = table.values(number)
        if not values or not all(value.isdigit() for value in values) or len(set(values)) != len(values):
            continue
        for name in named(table, _NAMES):
            names = table.values(name)
            if name != number and all(names) and len(set(names)) == len(names) and not any(map(str.isdigit, names)):
                return {int(value): words.plain(text) for value, text in zip(values, names, strict=True)}
    return None


def rename(labels: Iterable[str], sources: Mapping[str, ClassNames]) -> tuple[dict[str, str], str]:
    """Returns the name of each numbered label, and the file that has them; ({}, "") where no file names classes.

    Args:
      labels: numbers as text.
      sources: class names by file.

    Raises:
      UserError: numbers that a file does not name; two files that name them differently.
    """
    numbers = sorted({int(label) for label in labels})
    found: dict[str, dict[str, str]] = {}
    problems = []
    for file, names in sources.items():
        mapping, problem = _fit(numbers, names)
        if mapping is None:
            problems.append(f"{file} {problem}")
        else:
            found[file] = {label: mapping[int(label)] for label in labels}
    if found:
        first, *others = found
        for other in others:
            if found[other] != found[first]:
                raise UserError(f"{first} and {other} name the classes differently: leave one out with build.ignore")
        return found[first], first
    if problems:
        raise UserError(
            f"labels are the numbers {numbers[0]} to {numbers[-1]}, but {'; '.join(problems)}: mend it, or leave it "
            "out with build.ignore"
        )
    return {}, ""


def _fit(numbers: list[int], names: ClassNames) -> tuple[dict[int, str] | None, str]:
    if isinstance(names, dict):
        missing = [number for number in numbers if number not in names]
        return (None, f"does not name {missing[0]}") if missing else (names, "")
    first, last, count = numbers[0], numbers[-1], len(names)
    # Counted from 0 or from 1; without either end, it may be both.
    if last < count and (first == 0 or last == 0):
        return dict(enumerate(names)), ""
    if last == count and first > 0:
        return dict(enumerate(names, start=1)), ""
    if last < count:
        return None, f"has {count} names, and whether they are counted from 0 or from 1 is not clear"
    return None, f"has {count} names"


def _of_json(content: str) -> ClassNames | None:
    value = json.loads(content)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(name, str) for name in value):
        return [words.plain(name) for name in value]
    if not isinstance(value, dict) or not value:
        return None
    if isinstance(value.get("id2label"), dict):
        # Of Hugging Face's config.json.
        value = value["id2label"]
    if isinstance(value.get("names"), (list, dict)):
        value = value["names"]
        if isinstance(value, list):
            return [words.plain(str(name)) for name in value]
    if all(str(key).isdigit() and isinstance(name, str) for key, name in value.items()):
        return {int(key): words.plain(name) for key, name in value.items()}
    if all(isinstance(number, int) and not isinstance(number, bool) for number in value.values()):
        return {number: words.plain(name) for name, number in value.items()}
    return None


def _of_pbtxt(content: str) -> ClassNames | None:
    """Returns the items of a label map of TensorFlow's object detection."""
    found: dict[int, str] = {}
    for item in re.findall(r"item\s*\{(.*?)\}", content, re.DOTALL):
        number = re.search(r"\bid\s*:\s*(\d+)", item)
        name = re.search(r"\b(?:display_)?name\s*:\s*(['\"])(.*?)\1", item)
        if number and name:
            found[int(number[1])] = words.plain(name[2])
    return found or None


def _of_yaml(content: str) -> ClassNames | None:
    """Returns `names` of a YOLO data.yaml, in brackets or an item a line."""
    found = re.search(r"^names\s*:[ \t]*(\[.*?\]|\{.*?\})?", content, re.MULTILINE | re.DOTALL)
    if not found:
        return None
    if found[1]:
        items = [item.strip().strip("'\"") for item in found[1][1:-1].split(",")]
        if found[1].startswith("{"):
            pairs = [item.partition(":") for item in items]
            return {int(key): words.plain(name.strip(" '\"")) for key, _, name in pairs if key.strip().isdigit()}
        return [words.plain(item) for item in items if item]
    listed: list[str] = []
    mapped: dict[int, str] = {}
    for line in content[found.end() :].splitlines()[1:]:
        item = _YAML_ITEM.fullmatch(line)
        if not item:
            break
        if item[1]:
            mapped[int(item[1])] = words.plain(item[2])
        else:
            listed.append(words.plain(item[2]))
    return mapped or listed or None
