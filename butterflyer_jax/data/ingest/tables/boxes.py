"""The boxes of a table: where in each photo the butterfly is."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table

# Left, top, right, bottom, and what their unit is: width and height of the photo in it; 0 for pixels of the photo.
Box: TypeAlias = tuple[float, float, float, float, float, float]

# Columns that annotations of other forms are put into.
COLUMNS = ("xmin", "ymin", "xmax", "ymax", "image_width", "image_height")
# Two corners, a corner and a size, a centre and a size: the names of other libraries.
FORMATS = XYXY, XYWH, CXCYWH = "xyxy", "xywh", "cxcywh"
AUTO = "auto"
# Names of four columns, and what they may be.
_NAMES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("xmin", "ymin", "xmax", "ymax"), (XYXY,)),
    (("x1", "y1", "x2", "y2"), (XYXY,)),
    (("x0", "y0", "x1", "y1"), (XYXY,)),
    (("left", "top", "right", "bottom"), (XYXY,)),
    (("xtl", "ytl", "xbr", "ybr"), (XYXY,)),
    (("cx", "cy", "w", "h"), (CXCYWH,)),
    (("xcenter", "ycenter", "width", "height"), (CXCYWH,)),
    (("xcenter", "ycenter", "w", "h"), (CXCYWH,)),
    (("x", "y", "w", "h"), (XYWH, CXCYWH)),
    (("x", "y", "width", "height"), (XYWH, CXCYWH)),
    (("left", "top", "width", "height"), (XYWH,)),
)
_LISTS = ("bbox", "box", "boundingbox", "bboxes")
_PREFIX = re.compile(r"^(?:bboxes|bbox|bndbox|boundingbox|box|roi)(?=.)")
_WIDTHS, _HEIGHTS = ("imagewidth", "imgwidth", "width"), ("imageheight", "imgheight", "height")
_NUMBER = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
# Of a side of the photo by which a box may lie outside: rounding, and boxes by hand.
MAX_OUTSIDE = 0.02


def read(table: Table, box_format: str) -> tuple[list[Box | None], str]:
    """Returns the box of each row, None for none; and what a user should know.

    Known are four columns by their usual names, and one column of four numbers. Where names or numbers leave two
    formats possible, there are no boxes and a note.

    Args:
      table: any.
      box_format: one of `FORMATS` for what the numbers are, auto to find out.

    Returns:
      A list as long as the table, [] where no row has a box; and the note, "" for none.
    """
    used, possible = _columns(table)
    numbers = [_numbers([row[column] for column in used]) for row in table.rows]
    there = [four for four in numbers if four]
    if not there:
        return [], ""
    are_shares = _are_shares(there)
    units = [(1.0, 1.0)] * len(table.rows) if are_shares else _sizes(table, used)
    if len(possible) > 1:
        name = f"{', '.join(table.columns[column] for column in used)} of {table.name}"
        if box_format == AUTO and _may_be_size_of_photo(table, used, there):
            return [], f"{name} may be boxes or the size of the photos: build.box_format={XYWH} takes boxes"
        # A centre is given in shares alone.
        possible = [box_format] if box_format != AUTO else [one for one in possible if are_shares or one != CXCYWH]
        fitting = [one for one in possible if all(map(_fits, [one] * len(numbers), numbers, units))]
        if box_format == AUTO and len(fitting) != 1:
            formats = " or ".join(fitting or possible)
            return [], f"{name} may be boxes of the format {formats}, and are not used: build.box_format chooses"
        possible = fitting if box_format == AUTO else possible
    [found] = possible
    return [None if four is None else _box(found, four, unit) for four, unit in zip(numbers, units, strict=True)], ""


def columns_of(table: Table) -> list[int]:
    """Returns the columns with names of a box, none where fewer than half of their rows hold numbers."""
    used, _ = _columns(table)
    found = sum(_numbers([row[column] for column in used]) is not None for row in table.rows) if used else 0
    return used if 2 * found >= len(table.rows) else []


def union(boxes: Iterable[Box]) -> Box | None:
    """Returns the box that holds several of one unit, None where there is none."""
    found = list(boxes)
    if not found:
        return None
    lefts, tops, rights, bottoms, *_ = zip(*found, strict=True)
    return (min(lefts), min(tops), max(rights), max(bottoms), *found[0][4:])


def of_photos(rows: Iterable[tuple[Box | None, Sequence[str]]]) -> dict[str, list[Box]]:
    """Returns the boxes of each photo that has some.

    Args:
      rows: the box of each row, and the photos that the row may mean; one of several photos says nothing.
    """
    found: dict[str, list[Box]] = {}
    for box, photos in rows:
        if box and len(photos) == 1:
            found.setdefault(photos[0], []).append(box)
    return found


def cells(box: Box | None) -> list[str]:
    """Returns the cells of `COLUMNS` for a box."""
    return [""] * len(COLUMNS) if box is None else [f"{value:.10g}" for value in box]


def as_cells(found: Sequence[Box]) -> dict[str, str]:
    """Returns the cells of a photo's row that say where its boxes are, by column; {} without boxes."""
    box = union(found)
    return {} if box is None else dict(zip(COLUMNS, cells(box), strict=True))


def _columns(table: Table) -> tuple[list[int], Sequence[str]]:
    """Returns the columns of the numbers of a box, none where there are none, and what these numbers may be."""
    spelt = _spelt(table)
    bare = [_PREFIX.sub("", name) for name in spelt]
    for names, formats in _NAMES:
        if all(name in bare for name in names):
            return [bare.index(name) for name in names], formats
    return [spelt.index(name) for name in _LISTS if name in spelt][:1], FORMATS


def _spelt(table: Table) -> list[str]:
    return [words.squeeze(re.split(r"[.:/]", column)[-1]) for column in table.columns]


def _numbers(cells: Sequence[str]) -> tuple[float, float, float, float] | None:
    four = _NUMBER.findall(cells[0]) if len(cells) == 1 else [cell.strip() for cell in cells]
    if len(four) != 4 or not all(map(_NUMBER.fullmatch, four)):
        return None
    first, second, third, fourth = (float(cell) for cell in four)
    return first, second, third, fourth


def _are_shares(there: Sequence[tuple[float, ...]]) -> bool:
    """Returns whether boxes are shares of the photo: numbers of pixels are larger, but for a few wrong ones."""
    return statistics.median(map(max, there)) <= 1 + MAX_OUTSIDE and any(value % 1 for four in there for value in four)


def _sizes(table: Table, used: Sequence[int]) -> list[tuple[float, float]]:
    """Returns for each row the size of the photo that its box is of, as a table says; (0, 0) where it does not."""
    free = {name: column for column, name in reversed(list(enumerate(_spelt(table)))) if column not in used}
    wide, high = (next((free[name] for name in names if name in free), None) for names in (_WIDTHS, _HEIGHTS))
    if wide is None or high is None:
        return [(0.0, 0.0)] * len(table.rows)
    return [_size(row[wide], row[high]) for row in table.rows]


def _size(width: str, height: str) -> tuple[float, float]:
    if not (_NUMBER.fullmatch(width) and _NUMBER.fullmatch(height)):
        return 0.0, 0.0
    size = float(width), float(height)
    return size if min(size) > 0 else (0.0, 0.0)


def _may_be_size_of_photo(table: Table, used: Sequence[int], there: Sequence[tuple[float, ...]]) -> bool:
    """Returns whether x, y, width and height may be a point, and the size of all photos."""
    if len(used) == 1 or _spelt(table)[used[2]] != "width":
        return False
    return len({four[2:] for four in there}) == 1 < len({four[:2] for four in there})


def _fits(box_format: str, four: tuple[float, float, float, float] | None, unit: tuple[float, float]) -> bool:
    if four is None:
        return True
    left, top, right, bottom, width, height = _box(box_format, four, unit)
    beside, below = MAX_OUTSIDE * width, MAX_OUTSIDE * height
    inside = min(left + beside, top + below) >= 0 and right <= width + beside and bottom <= height + below
    return left < right and top < bottom and (inside or not width)


def _box(box_format: str, four: tuple[float, float, float, float], unit: tuple[float, float]) -> Box:
    first, second, third, fourth = four
    if box_format == XYXY:
        return (*four, *unit)
    if box_format == XYWH:
        return first, second, first + third, second + fourth, *unit
    return first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2, *unit
