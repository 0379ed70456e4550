"""Annotations in one file per photo: YOLO boxes, Pascal VOC XML, labelme JSON."""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.tables.columns import Table
from butterflyer_jax.data.ingest.tables.records import SEVERAL

SUFFIXES = frozenset([".txt", ".xml", ".json"])
# Largest annotation of one photo, bytes.
MAX_BYTES = 1 << 20
# Number of files of a kind that are examined to decide whether they are annotations.
_SAMPLE = 20
# A class, then a box or the vertices of an outline.
_YOLO = re.compile(r"(\d+)(?:\s+-?\d*\.?\d+(?:e-?\d+)?){4,}", re.IGNORECASE)
_VOC = re.compile(r"<object>.*?<name>\s*(.*?)\s*</name>", re.DOTALL)
_FOLDERS = frozenset(["labels", "label", "annotations", "annotation", "xml", "xmls", "txt", "json", "jsons", "ann"])


def pair(files: Iterable[str], photos: Iterable[str]) -> dict[str, str]:
    """Returns the photo of each file with the same name except the suffix, beside it or in a folder of labels.

    Args:
      files: paths of text, XML and JSON files.
      photos: paths of photos.
    """
    wanted = [file for file in files if posixpath.splitext(file)[1].lower() in SUFFIXES]
    if not wanted:
        return {}
    by_key: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for photo in photos:
        by_key[_key(photo)].append(photo)
    found = {file: by_key.get(_key(file), []) for file in wanted}
    return {file: same[0] for file, same in found.items() if len(same) == 1}


def read(pairs: Mapping[str, str], read_text: Callable[[str], str], used: set[str]) -> list[Table]:
    """Returns one table per kind of annotation, with the one class of each photo.

    Args:
      pairs: photo by file, from `pair`.
      read_text: returns the text of a file; raises an exception if the file is no text or damaged.
      used: receives the files that are annotations.
    """
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in pairs:
        by_kind[posixpath.dirname(file), posixpath.splitext(file)[1].lower()].append(file)
    tables = []
    for (folder, suffix), files in by_kind.items():
        sample = [_classes(file, read_text) for file in files[:: max(1, len(files) // _SAMPLE)]]
        if None in sample or not any(sample):
            continue
        used |= set(files)
        rows = []
        for file in files:
            classes = _classes(file, read_text) or set()
            rows.append([pairs[file], SEVERAL if len(classes) > 1 else next(iter(classes), "")])
        tables.append(Table(posixpath.join(folder, f"*{suffix}"), ("file", "label"), rows))
    return tables


def _key(path: str) -> tuple[str, ...]:
    *folders, name = path.split("/")
    kept = [folder for folder in folders if not (words.is_container(folder) or folder.lower() in _FOLDERS)]
    return (*kept, posixpath.splitext(name)[0])


def _classes(file: str, read_text: Callable[[str], str]) -> set[str] | None:
    """Returns the classes in an annotation, None for a text that is not one."""
    suffix = posixpath.splitext(file)[1].lower()
    try:
        text = read_text(file)
    except Exception:
        # Each compression method raises its own errors for damaged data.
        return None
    if suffix == ".xml":
        return {html.unescape(name) for name in _VOC.findall(text)} if "<annotation" in text else None
    if suffix == ".json":
        try:
            value = json.loads(text)
        except ValueError:
            return None
        shapes = value.get("shapes") if isinstance(value, dict) else None
        if not isinstance(shapes, list):
            return None
        return {str(shape["label"]) for shape in shapes if isinstance(shape, dict) and shape.get("label")}
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_YOLO.fullmatch(line) for line in lines]
    return {match[1] for match in found if match} if all(found) else None
