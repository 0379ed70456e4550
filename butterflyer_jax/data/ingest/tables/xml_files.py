"""XML files: lists of CVAT, lists of any elements with values, and the values in a file about one photo."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from xml.etree import ElementTree

from butterflyer_jax.data.ingest.tables import boxes, cells, records
from butterflyer_jax.data.ingest.tables.columns import Table

# The parsed elements take ten times the memory of the text.
MAX_CHARACTERS = 32 << 20
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_CVAT_IMAGE = re.compile(r"<image\s([^>]*?)(?:/>|>(.*?)</image>)", re.DOTALL)
_CVAT_LABEL = re.compile(r'<(?:tag|box|polygon|polyline|points|mask|ellipse|cuboid)\s[^>]*?\blabel="([^"]*)"')
_CVAT_BOX = re.compile(r"<box\s([^>]*)")
_CVAT_ATTRIBUTE = re.compile(r'<attribute\s[^>]*?\bname="([^"]*)"[^>]*>([^<]*)</attribute>')
_CVAT_SIDES = ("xtl", "ytl", "xbr", "ybr")


def tables_in(text: str, name: str) -> list[Table]:
    """Returns the tables in an XML file: a row for each of several elements of one kind with values in them.

    Raises:
      ElementTree.ParseError: the text is not XML.
    """
    tables = _from_cvat(text, name)
    if tables or len(text) > MAX_CHARACTERS:
        return tables
    found: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for parent in ElementTree.fromstring(text).iter():
        for child in parent:
            values = _values_of_element(child)
            if len(values) > 1:
                found[_tag(parent), _tag(child)].append(values)
    several = {kind: rows for kind, rows in found.items() if len(rows) > 1}
    return [records.table(name if len(several) == 1 else f"{name}[{kind[-1]}]", rows) for kind, rows in several.items()]


def values_in(text: str) -> dict[str, str]:
    """Returns the values in an XML file about one thing, as of ImageCLEF; raises ElementTree.ParseError."""
    found: dict[str, str] = {}
    for element in ElementTree.fromstring(text).iter():
        found = {**_values_of_element(element), **found}
    return found


def _from_cvat(text: str, name: str) -> list[Table]:
    """Returns the table in an XML file of CVAT ("CVAT for images"): the class of the tags or shapes of each image.

    Source: https://docs.cvat.ai/docs/manual/advanced/xml_format/
    """
    rows = []
    for head, inner in _CVAT_IMAGE.findall(text):
        attributes = {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(head)}
        width, height = (float(attributes.get(key, 0)) for key in ("width", "height"))
        found: list[boxes.Box] = []
        for shape in _CVAT_BOX.findall(inner):
            sides = {key: float(value) for key, value in _ATTRIBUTE.findall(shape) if key in _CVAT_SIDES}
            if len(sides) == len(_CVAT_SIDES):
                left, top, right, bottom = (sides[key] for key in _CVAT_SIDES)
                found.append((left, top, right, bottom, width, height))
        label = cells.one_of(map(html.unescape, _CVAT_LABEL.findall(inner)))
        if "name" in attributes:
            of_shapes: dict[str, list[str]] = defaultdict(list)
            for key, value in _CVAT_ATTRIBUTE.findall(inner):
                of_shapes[html.unescape(key)].append(html.unescape(value).strip())
            more = {key: cells.one_of(values) for key, values in of_shapes.items()}
            rows.append({**more, "file": attributes["name"], "label": label, **boxes.as_cells(found)})
    return [records.table(name, rows)] if rows else []


def _values_of_element(element: ElementTree.Element) -> dict[str, str]:
    """Returns the attributes of an element, and the texts of the elements in it that hold nothing else."""
    texts = {_tag(child): (child.text or "").strip() for child in element if not len(child)}
    return {**element.attrib, **texts}


def _tag(element: ElementTree.Element) -> str:
    """Returns the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
