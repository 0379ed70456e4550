"""Lists of classes in a README: lines or table rows of codes and names, below a matching heading."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.name_lists import code
from butterflyer_jax.errors import UserError

# "- 0: Monarch", "1. Monarch", "| 001 | Monarch |", "class_2 = Monarch".
_LINE = re.compile(
    r"\s*[-*+|>]?\s*[`'\"*]*(?P<key>[\w-]+?)[`'\"*]*(?P<cut>\s*(?:[:=|,;\t]|->|=>)\s*|[.)]\s+|\s+[-\u2013]\s+|\s+)(?P<name>\S.*)"
)
_RULE = re.compile(r"[\s|:=+-]*")
_STEP = re.compile(r"\s*\d+[.)]\s")
_NAME = re.compile(r"[A-Z][\w'\u2019-]*(?:\s[A-Z(][\w'\u2019)-]*)*")
# Words in the heading of a list of classes.
_ABOUT = re.compile(
    r"\b(?:class(?:es)?|labels?|species|categor(?:y|ies)|folders?|director(?:y|ies)|taxa|names|codes?|butterflies|moths|"
    r"legend)\b",
    re.I,
)
_MAX_WORDS = 8
_SHOWN = 3


def names(labels: Collection[str], texts: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Returns the names by the only list in a text that has exactly these classes, and the file of the text.

    Args:
      labels: codes of the classes.
      texts: texts by file.

    Raises:
      UserError: a list may be one of classes or of something else, or two lists differ.
    """
    wanted = {code(label): label for label in labels}
    found: list[tuple[str, dict[str, str], bool]] = []
    for file, content in texts.items():
        lines = content.splitlines()
        for start, block in _blocks(lines, wanted):
            by_label = {wanted[key]: name for key, name in block.items()}
            if len(by_label) == len(wanted) and len(set(by_label.values())) == len(by_label) > 1:
                above = [line for line in lines[:start] if line.strip() and not _RULE.fullmatch(line)][-1:]
                # A text with little else, in a form unlike the steps of a guide, with capitalised names.
                mostly = 2 * len(block) > sum(bool(line.strip()) for line in lines)
                alone = (
                    mostly and not any(map(_STEP.match, lines[start:])) and all(map(_NAME.fullmatch, block.values()))
                )
                sure = alone or any(map(_ABOUT.search, above))
                found.append((file, by_label, sure and all(map(_is_name, by_label.values()))))
    if not found or not any(map(_is_name, found[0][1].values())):
        return {}, ""
    file, first, sure = found[0]
    if sure and all(other == first for _, other, _ in found):
        return first, file
    shown = ", ".join(f"{label} {name}" for label, name in sorted(first.items())[:_SHOWN])
    raise UserError(
        f"{file} may name the classes ({shown}), or mean something else: put the list into a classes.txt, or "
        f"leave the file out with build.ignore={file}"
    )


def _blocks(lines: Sequence[str], wanted: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """Returns the first line of each list of the codes, and its names by code."""
    blocks: list[tuple[int, dict[str, str]]] = []
    block: dict[str, str] = {}
    for number, line in enumerate([*lines, "end"]):
        match = _LINE.fullmatch(line)
        key = code(match["key"]) if match else ""
        if match and key in wanted and key not in block:
            if not block:
                start = number
            block[key] = words.plain(match["name"].partition("|")[0].strip("`'\"*, ;"))
        elif block and line.strip() and not _RULE.fullmatch(line):
            blocks.append((start, block))
            block = {}
    return blocks


def _is_name(text: str) -> bool:
    """Returns whether a text is a name rather than a sentence, a number or an address."""
    return bool(re.search(r"[^\W\d_]", text)) and len(text.split()) <= _MAX_WORDS and not re.search(r"[.!?]$|://", text)
