"""Help texts as wide as the terminal: paragraphs are filled, tables and command lines keep their lines."""

from __future__ import annotations

import argparse
import functools
import itertools
import re
import textwrap

# Two columns of a table, and the least width in which the second one is still readable beside the first.
TABLE_ROW = re.compile(r"( *\S.*?\S {2,})(\S.*)")
MIN_COLUMN = 24
FLAG = re.compile(r"(--[\w-]+) (?=[^-\[ ])")

wrap = functools.partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


class HelpFormatter(argparse.HelpFormatter):
    """Formats the docstring of a command, and the table of config fields after its options."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for is_indented, group in itertools.groupby(text.splitlines(), key=lambda line: line.startswith(" ")):
            if is_indented:
                lines += itertools.chain.from_iterable(_indented(line, width) for line in group)
                continue
            for is_blank, paragraph in itertools.groupby(group, key=lambda line: not line):
                lines += [""] if is_blank else wrap(" ".join(paragraph), width)
        return "\n".join(lines)


def _indented(line: str, width: int) -> list[str]:
    """Returns the lines of a row of a table, or of a command line, whose lines a shell takes as one."""
    if len(line) <= width:
        return [line]
    start = line[: len(line) - len(line.lstrip())]
    if row := TABLE_ROW.fullmatch(line):
        beside = width - len(row[1]) >= MIN_COLUMN
        deeper = " " * (len(row[1]) if beside else len(start) + 6)
        wrapped = wrap(row[2], width, initial_indent=row[1] if beside else deeper, subsequent_indent=deeper)
        return wrapped if beside else [row[1].rstrip(), *wrapped]
    # A flag and its value stay in one line.
    joined = FLAG.sub("\\1\0", line.strip().removesuffix(" \\"))
    wrapped = wrap(joined, width - 2, initial_indent=start, subsequent_indent=f"{start}  ")
    text = " \\\n".join(wrapped).replace("\0", " ") + (" \\" if line.endswith("\\") else "")
    return text.splitlines()
