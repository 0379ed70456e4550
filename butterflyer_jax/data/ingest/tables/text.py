"""Text tables: csv, tsv and the like, with any delimiter, in the encodings that programs use."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence

from butterflyer_jax.data.ingest import code_pages, words
from butterflyer_jax.data.ingest.tables.columns import FILE, KNOWN

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = ",;\t|"
# Tried where none of the usual ones splits the lines: colons would split URLs and times.
_RARE_DELIMITERS = ("::", "^", "~", "=>", "->", " - ", "=", ":")
# Excel's convention: the first line names the delimiter.
_SEP = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
_COMMENT = ("#", "//")
_FILE = re.compile(r"\.[A-Za-z]\w{2,3}$")
_IMAGE = re.compile(r"\.(?:jpe?g|png|webp|tiff?|gif|bmp|hei[cf]|avif)$", re.IGNORECASE)
_FORMULA = re.compile(r"\A(?:=\"([^\"]*)\"|'(\d+))\Z")
_AFTER_IMAGE = re.compile(r"(?:(?<=\.jpg|\.png|\.tif|\.gif|\.bmp)|(?<=\.jpeg|\.webp|\.tiff|\.heic))\s+", re.IGNORECASE)
_NUMBERS = re.compile(r"[-\d.e]+(?:\s+[-\d.e]+)+")
# The rule below the header of a Markdown table.
_RULE = re.compile(r":?-{2,}:?(?:\+-+)*")
_SAMPLE_LINES = 50
_IDENTIFIER = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
# A last line that is a row of its own, unless a quote is open.
_END = "\0"
# Bytes that do not occur in text of any code page.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")
# The second bytes of East Asian code pages begin with 0x40, and may be ASCII.
_NON_ASCII_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][\x40-\xff]*")


def decode(data: bytes, name: str, encoding: str = "") -> str:
    """Returns the text of a table.

    It is decoded by its byte order mark, else as UTF-8, else as UTF-16 where every second byte is zero, else in
    `encoding`, else in Windows' Latin-1 (cp1252), else in the only code page that gives plausible words.

    Raises:
      UserError: several code pages give plausible words, or none does.
      ValueError: the data is not text.
    """
    for mark, name_of_mark in _MARKS:
        if data.startswith(mark):
            return data.decode(name_of_mark, "replace")
    try:
        if b"\\0" not in data[:4096].replace(b"\0", b"\\0"):
            return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    head = data[:4096]
    for start, wide in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) > 3 and head[start::2].count(0) > 0.4 * len(head[start::2]) > head[1 - start :: 2].count(0):
            return data.decode(wide, "replace")
    if _CONTROL.search(head):
        raise ValueError("it is not text")
    if encoding:
        code_pages.check(encoding)
        return data.decode(encoding, "replace")
    found = sorted(set(_NON_ASCII_WORD.findall(data)))
    return data.decode(code_pages.detect(found, name, "cp1252")) if found else data.decode("utf-8", "replace")


def parse(text: str, spaces: bool = False) -> list[list[str]]:
    """Returns the rows of a table, header first, cells stripped; one column where no delimiter splits the lines.

    Blank lines, comments before the header, and a line `sep=;` are left out.

    Args:
      text: content of the file.
      spaces: whether white space may also separate the columns.
    """
    lines = io.StringIO(text, newline=None).read().split("\n")
    delimiter = ""
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].lstrip().startswith(_COMMENT)):
        start += 1
    if start < len(lines) and (found := _SEP.fullmatch(lines[start])):
        delimiter, start = found[1], start + 1
    while start < len(lines) and (not lines[start].strip() or lines[start].lstrip().startswith(_COMMENT)):
        start += 1
    body = lines[start:]
    if not delimiter:
        delimiter = _delimiter(body)
    if not delimiter and (bare := _without_quotes(body)):
        return parse(bare, spaces)
    if not delimiter:
        return _by_rare_delimiter(body) or (_by_spaces(body) if spaces else []) or _one_column(body)
    rows = _rows([*body, _END], delimiter)
    if rows[-1] != [_END]:
        raise ValueError(f"row {len(rows)} opens a quoted cell that never ends, as in an incomplete copy")
    return _with_row_names([row for row in rows[:-1] if any(row) and not all(map(_RULE.fullmatch, filter(None, row)))])


def _with_row_names(rows: list[list[str]]) -> list[list[str]]:
    """Returns rows with a blank above the numbers of the rows, where R's write.table leaves it out of the header."""
    head, body = rows[:1], rows[1:]
    if not body or any(len(row) != len(rows[0]) + 1 or not row[0].isdigit() for row in body):
        return rows
    names_file = [position for position, cell in enumerate(rows[0]) if words.squeeze(cell) in FILE]
    moved = any(_IMAGE.search(body[0][n + 1]) and not _IMAGE.search(body[0][n]) for n in names_file)
    return [["", *head[0]], *body] if moved and len({row[0] for row in body}) == len(body) else rows


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Returns the rows of each table in a Markdown text."""
    found = re.findall(r"(?:^[ \t]*\|.*(?:\n|\Z)){3,}", text, re.MULTILINE)
    return [[row[1:-1] if not (row[0] or row[-1]) else row for row in parse(table)] for table in found]


def _without_quotes(lines: Sequence[str]) -> str:
    """Returns a text whose lines are each quoted as one cell, without these quotes; "" for another text."""
    used = [line for line in map(str.strip, lines) if line]
    if not all(line[0] == line[-1] == '"' and len(line) > 1 for line in used):
        return ""
    bare = [line[1:-1].replace('""', '"') for line in used]
    return "\n".join(bare) if _delimiter(bare) else ""


def _by_rare_delimiter(lines: Sequence[str]) -> list[list[str]]:
    """Returns rows of two or more columns, split by a delimiter that occurs equally often in each line; else [].

    Prose has colons too, so the first row must name known columns or a file.
    """
    used = [line for line in lines if line.strip()]
    for delimiter in _RARE_DELIMITERS:
        counts = {line.count(delimiter) for line in used}
        if len(counts) == 1 and counts != {0}:
            rows = [[cell.strip().strip("\"'") for cell in line.split(delimiter)] for line in used]
            if _is_table(rows):
                return rows
    return []


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    """Returns whether the first row names a known column or a file, which prose rarely does."""
    return any(words.squeeze(cell) in KNOWN or _FILE.search(cell) for cell in rows[0])


def _by_spaces(lines: Sequence[str]) -> list[list[str]]:
    """Returns rows split by white space if all have the same length; else by runs of it; else after a file name.

    "1025794 Boeing 737" of FGVC-Aircraft and "1.jpg Danaus plexippus" are a photo and a label even where all labels
    have the same number of words.
    """
    used = [line.strip() for line in lines if line.strip()]
    paths = [_AFTER_IMAGE.split(line, maxsplit=1) for line in used]
    if all(len(row) == 2 for row in paths) and any(" " in row[0] for row in paths):
        # "Red Admiral/0001.jpg 3"
        return paths
    if rows := _photo_and_words(used):
        return rows
    cuts: tuple[Callable[[str], list[str]], ...] = (
        lambda line: next(csv.reader([line], delimiter=" ", skipinitialspace=True)),
        lambda line: re.split(r"\s{2,}", line),
        # "0001.jpg Red Admiral" below "filename label"; "1 001.Red Admiral/0001.jpg" of CUB.
        lambda line: line.split(maxsplit=1),
    )
    for number, cut in enumerate(cuts):
        rows = _with_row_names([[cell for cell in cut(line) if cell] for line in used])
        even = bool(rows) and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
        known = all(words.squeeze(cell) in KNOWN for cell in used[0].split()) if used else False
        numbered = all(row[0].isdigit() or _IDENTIFIER.fullmatch(row[0]) for row in rows)
        numbered |= number == 0 and _are_photos_and_numbers(rows)
        if even and (numbered or (_is_table(rows) if number < 2 else known)):
            return rows
    return []


def _photo_and_words(lines: Sequence[str]) -> list[list[str]]:
    """Returns rows of two columns where each line is a photo, then a label of words; else []."""
    rows = [line.split(maxsplit=1) for line in lines]
    if not rows or any(len(row) != 2 for row in rows):
        return []
    photos, labels = {row[0] for row in rows}, {row[1] for row in rows}
    are_photos = all(_IMAGE.search(photo) or re.search(r"\d", photo) for photo in photos)
    in_words = any(" " in label for label in labels) and not any(
        "/" in label or _NUMBERS.fullmatch(label) for label in labels
    )
    columns_of_words = [{label.split()[n] for label in labels if len(label.split()) > n} for n in (0, -1)]
    splits = any(all(map(words.split_of, found)) for found in columns_of_words)
    # A label is repeated, or else the lines are something else, such as names of classes.
    repeat = len(photos) == len(rows) > len(labels) > 1
    return [list(row) for row in rows] if are_photos and in_words and repeat and not splits else []


def _are_photos_and_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Returns whether rows are like "Monarch_12 1 1 2" of Oxford's pets: a photo without suffix, then numbers."""
    named = all(re.fullmatch(r"[\w./-]*\d[\w./-]*", row[0]) and all(map(str.isdigit, row[1:])) for row in rows)
    return named and len({row[0] for row in rows}) == len(rows)


def _one_column(lines: Sequence[str]) -> list[list[str]]:
    """Returns rows of one column, such as a list of photos without labels."""
    return [[cell] for line in lines if (cell := line.strip().strip('"'))]


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    # A space before a quote would make the quote an ordinary character.
    quote = "'" if lines and re.match(r"\s*'[^']*'\s*" + re.escape(delimiter), lines[0]) else '"'
    reader = csv.reader(
        (line + "\n" for line in lines), delimiter=delimiter, quotechar=quote, skipinitialspace=delimiter != " "
    )
    # ="00012" and '00012 keep Excel from making a number of a text.
    return [[_FORMULA.sub(r"\1\2", cell.strip()) for cell in row] for row in reader]


def _delimiter(lines: Sequence[str]) -> str:
    """Returns the delimiter that splits the first lines most evenly, header included; "" for none."""
    best: tuple[tuple[float, ...], str] = ((0.0,), "")
    for delimiter in _DELIMITERS:
        rows = [row for row in _rows(lines[:_SAMPLE_LINES], delimiter) if any(row)]
        if not rows:
            continue
        width, number = Counter(map(len, rows)).most_common(1)[0]
        if max(width, len(rows[0])) < 2:
            continue
        known = sum(words.squeeze(cell) in KNOWN for cell in rows[0])
        fits = len(rows[0]) == width
        best = max(best, ((float(min(known, 1)), float(fits), number / len(rows), known, width), delimiter))
    return best[1]
