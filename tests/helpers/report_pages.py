"""Data sets that do not exist, and a reader of the pages made of them."""

from __future__ import annotations

import collections
import html.parser
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from butterflyer_jax.report.data_card import CardPhoto, render_data_card

VOID = {"meta", "img", "br"}


@dataclass(frozen=True)
class Photo:
    photo_id: str
    species: str
    split: str = "train"
    source_width: int = 800
    source_height: int = 600
    width: int = 64
    height: int = 48
    brightness: float = 120.0
    duplicate_group: str = ""
    box: tuple[float, ...] | None = None


class Jpegs:
    """Gives a JPEG for every photo and counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, photo: CardPhoto) -> bytes:
        self.calls += 1
        buffer = io.BytesIO()
        colour = (len(photo.photo_id) % 256, 90, 160)
        Image.new("RGB", (photo.width, photo.height), colour).save(buffer, "JPEG")
        return buffer.getvalue()


class Page(html.parser.HTMLParser):
    """Reads a page, checks that every element is closed, and keeps elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def make_photos(num_species: int = 3, per_species: int = 20) -> list[Photo]:
    splits = ("train", "train", "train", "val", "test")
    return [
        Photo(
            f"Species {label:04}/{number:03}.jpg",
            f"Species {label:04}",
            splits[number % len(splits)],
            source_width=400 + 10 * number,
            brightness=100.0 + number,
        )
        for label in range(num_species)
        for number in range(per_species)
    ]


def make_card(photos: list[Photo], rejects: list[tuple[str, str]], missing: int = 0) -> dict[str, Any]:
    splits = ("train", "val", "test")
    counts = collections.Counter((photo.species, photo.split) for photo in photos)
    species = {name: {s: counts[name, s] for s in splits} for name in sorted({photo.species for photo in photos})}
    groups: dict[str, list[Photo]] = collections.defaultdict(list)
    for photo in photos:
        if photo.duplicate_group:
            groups[photo.duplicate_group].append(photo)
    return {
        "members": len(photos) + len(rejects) - missing + 7,
        "photos": len(photos),
        "rejects": len(rejects) - missing,
        "ignored": 7,
        "missing": missing,
        "splits": {split: sum(row[split] for row in species.values()) for split in splits},
        "species": species,
        "only_in_train": [name for name, row in species.items() if not row["val"] + row["test"]],
        "colour_profiles": {},
        "groups": {"by": [], "groups": 0, "photos": 0, "across_splits": 0},
        "labels_by": "folders",
        "ignored_by": {".txt": 7},
        "notes": [],
        "near_duplicates": {
            "method": "dhash of 256 bits, at most 12 differ",
            "groups": len(groups),
            "photos": sum(len(group) for group in groups.values()),
            "across_splits": sum(len({p.split for p in group}) > 1 for group in groups.values()),
            "across_species": sum(len({p.species for p in group}) > 1 for group in groups.values()),
        },
        "reject_reasons": dict(collections.Counter(reason for _, reason in rejects)),
        "pixels": {"mean": [0.4712, 0.4551, 0.3012], "std": [0.2312, 0.2201, 0.2456]},
        "build": {"image_size": 256, "jpeg_quality": 95, "salt": "butterflyer", "max_pixels": 100_000_000},
        "zip": "butterflies.zip",
        "bytes": 27_600_000,
        "zip_fingerprint": "abcdef0123",
        "fingerprint": "9876543210",
    }


def render(
    photos: list[Photo], rejects: list[tuple[str, str]] | None = None, missing: int = 0
) -> tuple[str, Page, Jpegs]:
    jpegs = Jpegs()
    page = render_data_card(make_card(photos, rejects or [], missing), photos, rejects or [], jpegs)
    return page, Page(page), jpegs
