"""Tables of labelled photos in several forms, for random collections."""

from __future__ import annotations

import re
from pathlib import Path


def spelt(spelling: str, path: str) -> str:
    return spelling.format(path=path, file=path.split("/")[-1], stem=Path(path).stem)


def one_per_row(head: str, labelled: list[tuple[str, str]], spelling: str) -> str:
    return "\n".join([head, *(f"{spelt(spelling, path)},{label}" for path, label in labelled)])


def two_per_row(head: str, labelled: list[tuple[str, str]], spelling: str) -> str:
    """Up to two photos of one label in a cell."""
    rows = []
    for label in dict.fromkeys(label for _, label in labelled):
        photos = [spelt(spelling, path) for path, own in labelled if own == label]
        rows += [f'"{"; ".join(photos[n : n + 2])}",{label}' for n in range(0, len(photos), 2)]
    return "\n".join([head, *rows])


def joined(head: str, labelled: list[tuple[str, str]], spelling: str) -> str:
    """Two tables that were joined, each with its header and its mark of the byte order, and invisible characters."""
    marked = [(path, f"{label}\u200b " if number % 2 else label) for number, (path, label) in enumerate(labelled)]
    parts = [one_per_row(head, part, spelling) for part in (marked[:3], marked[3:])]
    return "\ufeff" + "\n\ufeff".join(parts)


def in_two_columns(head: str, labelled: list[tuple[str, str]], spelling: str) -> str:
    """Genus and epithet apart where all names are Latin, else one column."""
    if not all(re.fullmatch(r"[A-Z][a-z]+ [a-z]+", label) for _, label in labelled):
        return one_per_row(head, labelled, spelling)
    file, _ = head.split(",")
    return one_per_row(f"{file},genus,species", [(path, label.replace(" ", ",")) for path, label in labelled], spelling)


TABLES_OF = (one_per_row, one_per_row, two_per_row, joined, in_two_columns)
