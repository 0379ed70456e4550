"""Files that list classes: names in order, or codes (0, 001, n02276258, DANPLE) with their names."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import LABEL

_STEMS = re.compile(
    r"(?:_?class(?:es|names?|labels?|list|index|indices|map)?|labels?(?:names?|map|list|s)?|names|objnames?|obj|cattoname|"
    r"categor(?:y|ies)(?:names?)?|species(?:names?|list)?|(?:idx|id|index)(?:to|2)(?:label|class|name|species)|synsets?|"
    r"synsetwords|(?:label|class)?mapp?(?:ing)?|legend|key|config|data|dataset)"
)
_JSON_STEMS = re.compile(r"meta|metadata|info|datasetinfos?")
_WORDS = frozenset(
    words.listed(
        "class classes label labels species names synset synsets wnid wnids words mapping index categories category "
        "legend key keys code codes taxa idx abbreviations"
    )
)
_HEADS = frozenset(["name", "names", "classname", "classnames", "labelname", "classes", *LABEL])
# A code, then its name: "0: Monarch", "001. Monarch", "n02276258 admiral", "SP1 = Monarch".
_FORWARD = re.compile(r"([\w-]+?)(?:\s*(?:[:=|;,\t]|->|=>)\s*|[.)]\s+|\s+[-\u2013]\s+|\s+)(\S.*)")
_BACKWARD = re.compile(r"(.*\S)\s*(?:[:=|;,\t]|->|=>|\s[-\u2013]\s)\s*([\w-]+)")
_YAML_ITEM = re.compile(r"\s*(?:-\s*|(\d+)\s*:\s*)['\"]?(.*?)['\"]?\s*")
_TEXTS = frozenset([".txt", ".names", ".csv", ".tsv", ".lst", ".list", ""])
_FILE_NAME = re.compile(r".*\.\w{3,4}")
_QUOTES = "'\"`* "


@dataclass(frozen=True)
class NameList:
    """The list of classes in a file.

    Attributes:
      ordered: names in the order of their numbers; () where the file has none or states the numbers.
      maps: names by code, one dict per possible reading of the file.
    """

    ordered: tuple[str, ...] = ()
    maps: tuple[Mapping[str, str], ...] = ()


def code(text: str) -> str:
    """Returns the normal form of a code: "001", "1" and "1.0" are the same."""
    text = text.strip(_QUOTES)
    found = re.fullmatch(r"(\d+)(?:\.0+)?", text)
    return str(int(found[1])) if found else text.casefold()


def parse(content: str, path: PurePosixPath) -> NameList | None:
    """Returns the list in a text, JSON or YAML file, None for none.

    The file name of a text must refer to classes, as a text may be anything.
    """
    suffix, stem = path.suffix.lower(), words.squeeze(path.stem)
    is_usual = bool(_STEMS.fullmatch(stem))
    is_named = is_usual or not _WORDS.isdisjoint(re.split(r"[\W_\d]+", path.stem.casefold()))
    if suffix == ".json":
        try:
            value = json.loads(content)
        except ValueError:
            # For example one object per line.
            return None
        return _of_json(value, is_named or bool(_JSON_STEMS.fullmatch(stem)))
    if not is_named:
        return None
    if suffix in (".yaml", ".yml"):
        return _of_yaml(content)
    if suffix == ".pbtxt":
        return _of_pbtxt(content)
    return _of_text(content, is_usual) if suffix in _TEXTS else None


def _of_text(content: str, in_order: bool) -> NameList | None:
    if content.lstrip()[:1] in ("{", "["):
        # In Python syntax.
        with contextlib.suppress(ValueError, SyntaxError):
            return _of_json(ast.literal_eval(content.strip()), True)
    lines = content.split("\n") if "\n" in content.strip() else content.split(",")
    lines = [re.sub(r"""["',;\s]*$""", "", re.sub(r"""^\s*(["'])([^"']*)\1""", r"\2", line)) for line in lines]
    return _of_lines([re.sub(r""":\s*["']""", ": ", line) for line in lines], in_order)


def _of_lines(lines: Iterable[str], in_order: bool) -> NameList | None:
    lines = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if lines and words.squeeze(lines[0]) in _HEADS:
        lines = lines[1:]
    if len(lines) < 2:
        return None
    maps = [found for found in (keyed(lines), keyed(lines, backward=True)) if found]
    plain = len(set(lines)) == len(lines) and all(
        re.search(r"[^\W\d_]", line) and not re.search(r"[,;\t]|\.\w{3,4}(\s|$)", line) for line in lines
    )
    numbered = any(all(key.isdigit() for key in found) for found in maps)
    ordered = tuple(map(words.plain, lines)) if in_order and plain and not numbered else ()
    return NameList(ordered, tuple(maps)) if ordered or maps else None


def keyed(lines: Sequence[str], backward: bool = False) -> dict[str, str]:
    """Returns names by code where each line has both; {} where one does not, or two have the same code."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        match = (_BACKWARD if backward else _FORWARD).fullmatch(line)
        key, name = ("", "") if match is None else (match[2], match[1]) if backward else (match[1], match[2])
        # A tab more is one more column, of a table.
        name = "" if "\t" in name else words.plain(name.strip(_QUOTES + ",;"))
        if number == 0 and words.squeeze(name) in _HEADS:
            continue
        if not key or not re.search(r"[^\W\d_]", name) or code(key) in found:
            return {}
        found[code(key)] = name
    return found


def _by_code(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Returns names by code; {} where a code has two names, or the names are file names."""
    found: dict[str, str] = {}
    for key, name in pairs:
        if code(str(key)) in found or _FILE_NAME.fullmatch(str(name)):
            return {}
        found[code(str(key))] = words.plain(str(name))
    return found


def _of_json(value: Any, is_named: bool) -> NameList | None:
    if isinstance(value, list):
        if is_named and len(value) > 1 and all(isinstance(name, str) for name in value):
            return NameList(tuple(map(words.plain, value)))
        return None
    if not isinstance(value, dict) or not value:
        return None
    keys = ("id2label", "classes", "class_names", "classNames", "label_names") + (
        ("names", "labels") if is_named else ()
    )
    for key in keys:
        # Keys in Hugging Face's config.json and dataset_infos.json, in YOLO, and in metadata of training programs.
        for inner in _values(value, key):
            if isinstance(inner, dict) and (found := _of_map(inner)):
                return found
            if isinstance(inner, list) and len(inner) > 1 and all(isinstance(name, str) for name in inner):
                return NameList(tuple(map(words.plain, inner)))
    if "items" in value and isinstance(value.get("categories"), dict):
        # Datumaro lists them in order, as objects.
        for inner in _values(value["categories"], "labels"):
            items = inner if isinstance(inner, list) else []
            if len(items) > 1 and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items):
                return NameList(tuple(words.plain(item["name"]) for item in items))
    found = _of_map(value)
    digits = found and any(all(key.isdigit() for key in one) for one in found.maps)
    return found if is_named or not digits else None


def _values(value: Mapping[str, Any], key: str, depth: int = 0) -> Iterable[Any]:
    if key in value:
        yield value[key]
    for inner in value.values():
        if isinstance(inner, dict) and depth < 4:
            yield from _values(inner, key, depth + 1)


def _of_map(value: Mapping[str, Any]) -> NameList | None:
    """Returns the list in {code: name}, {name: code} or, as in Keras, {number: [code, name]}."""
    items = list(value.items())
    if all(isinstance(name, list) and len(name) == 2 and all(map(str, name)) for _, name in items):
        return NameList(maps=(_by_code((key, pair[1]) for key, pair in items), _by_code(tuple(p) for _, p in items)))
    if all(isinstance(number, int) and not isinstance(number, bool) for _, number in items):
        return NameList(maps=(_by_code((number, name) for name, number in items),))
    if len(items) > 1 and all(isinstance(name, str) for _, name in items):
        return NameList(maps=(_by_code(items), _by_code((name, key) for key, name in items)))
    return None


def _of_pbtxt(content: str) -> NameList | None:
    """Returns the items of a label map of TensorFlow's object detection."""
    found: dict[str, str] = {}
    for item in re.findall(r"item\s*\{(.*?)\}", content, re.DOTALL):
        number = re.search(r"\bid\s*:\s*(\d+)", item)
        name = re.search(r"\b(?:display_)?name\s*:\s*(['\"])(.*?)\1", item)
        if number and name:
            found[code(number[1])] = words.plain(name[2])
    return NameList(maps=(found,)) if found else None


def _of_yaml(content: str) -> NameList | None:
    """Returns `names` of a YOLO data.yaml, in brackets or one item per line."""
    found = re.search(r"^names\s*:[ \t]*(\[.*?\]|\{.*?\})?", content, re.MULTILINE | re.DOTALL)
    if not found:
        return None
    if found[1]:
        items = [item.strip().strip("'\"") for item in found[1][1:-1].split(",")]
        if found[1].startswith("{"):
            pairs = [item.partition(":") for item in items]
            return NameList(maps=(_by_code((key, name.strip(" '\"")) for key, _, name in pairs),))
        return NameList(tuple(words.plain(item) for item in items if item))
    listed: list[str] = []
    mapped: dict[str, str] = {}
    for line in content[found.end() :].splitlines()[1:]:
        item = _YAML_ITEM.fullmatch(line)
        if not item:
            break
        if item[1]:
            mapped[code(item[1])] = words.plain(item[2])
        else:
            listed.append(words.plain(item[2]))
    return NameList(maps=(mapped,)) if mapped else NameList(tuple(listed)) if listed else None
