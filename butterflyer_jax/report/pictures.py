"""Selection and thumbnails of the photos that a data card shows."""

from __future__ import annotations

import base64
import collections
import heapq
import io
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

# In all at most 80 samples, 50 near-duplicates and 16 extremes: a page of about 1.5 MB.
MAX_SAMPLES = 80
MAX_SAMPLE_SPECIES = 20
MAX_GROUPS = 10
MAX_GROUP_PHOTOS = 5
EXTREMES = 4

THUMBNAIL_SIDE = 208
THUMBNAIL_QUALITY = 72
# A colour that no wing has.
BOX_COLOUR = (255, 0, 255)


class CardPhoto(Protocol):
    """Facts about a photo that a data card needs."""

    @property
    def photo_id(self) -> str:
        """Path of the member in the zip."""

    @property
    def species(self) -> str:
        """Name of the species."""

    @property
    def split(self) -> str:
        """Either train, val or test."""

    @property
    def source_width(self) -> int:
        """Width of the original photo, pixels."""

    @property
    def source_height(self) -> int:
        """Height of the original photo, pixels."""

    @property
    def width(self) -> int:
        """Width of the stored photo, pixels."""

    @property
    def height(self) -> int:
        """Height of the stored photo, pixels."""

    @property
    def brightness(self) -> float:
        """Mean luma, 0 to 255."""

    @property
    def duplicate_group(self) -> str:
        """Id shared by near-duplicates of one another; empty if the photo has none."""

    @property
    def box(self) -> Sequence[float] | None:
        """Left, top, right and bottom of the butterfly, as shares of the photo; None where it is not known."""


@dataclass(frozen=True)
class Picture:
    """A photo and its thumbnail."""

    photo: CardPhoto
    uri: str
    width: int
    height: int

    @property
    def file_name(self) -> str:
        """The last part of the photo's path."""
        return self.photo.photo_id.rpartition("/")[2]


@dataclass(frozen=True)
class Sample:
    """A few photos of a species, with the number of all."""

    species: str
    total: int
    pictures: list[Picture]


@dataclass(frozen=True)
class Group:
    """A group of near-duplicates, with thumbnails of the first few."""

    pictures: list[Picture]
    total: int
    splits: list[str]
    species: list[str]


@dataclass(frozen=True)
class Extreme:
    """The photos at one end of a scale."""

    title: str
    pictures: list[Picture]


class Thumbnails:
    """Cache of thumbnails, one per photo however often it is shown."""

    def __init__(self, read_jpeg: Callable[[CardPhoto], bytes]) -> None:
        self._read_jpeg = read_jpeg
        self._made: dict[str, Picture] = {}

    def show(self, photos: Iterable[CardPhoto]) -> list[Picture]:
        """Returns these photos with their thumbnails."""
        return [self._show(photo) for photo in photos]

    def _show(self, photo: CardPhoto) -> Picture:
        if photo.photo_id not in self._made:
            self._made[photo.photo_id] = _make_picture(photo, self._read_jpeg(photo))
        return self._made[photo.photo_id]


def _make_picture(photo: CardPhoto, jpeg: bytes) -> Picture:
    from PIL import Image, ImageDraw

    image = Image.open(io.BytesIO(jpeg), formats=["JPEG"]).convert("RGB")
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    if photo.box:
        corners = [round(share * (side - 1)) for share, side in zip(photo.box, image.size * 2, strict=True)]
        ImageDraw.Draw(image).rectangle(corners, outline=BOX_COLOUR, width=2)
    return Picture(photo, to_uri(image, THUMBNAIL_QUALITY), image.width, image.height)


def to_uri(image: Image, quality: int = 76) -> str:
    """Returns an RGB image as the data URI of a JPEG, for an img element."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def choose_samples(photos: Sequence[CardPhoto], species: Sequence[str], thumbnails: Thumbnails) -> list[Sample]:
    """Returns photos of some species, evenly from the first to the last of `species`."""
    by_species: dict[str, list[CardPhoto]] = collections.defaultdict(list)
    for photo in photos:
        by_species[photo.species].append(photo)
    shown = evenly(species, MAX_SAMPLE_SPECIES)
    # Rows of four: two where they fit, so that a page with few species shows more of each.
    per_species = 8 if 8 * len(shown) <= MAX_SAMPLES else 4
    return [
        Sample(name, len(by_species[name]), thumbnails.show(evenly(by_species[name], per_species))) for name in shown
    ]


def choose_groups(photos: Sequence[CardPhoto], thumbnails: Thumbnails) -> list[Group]:
    """Returns groups of near-duplicates: those across splits first, then across species, then the largest."""
    members: dict[str, list[CardPhoto]] = collections.defaultdict(list)
    for photo in photos:
        if photo.duplicate_group:
            members[photo.duplicate_group].append(photo)

    def worst_first(name: str) -> tuple[bool, bool, int, str]:
        group = members[name]
        return len(_splits(group)) == 1, len(_species(group)) == 1, -len(group), name

    return [
        Group(
            thumbnails.show(_one_of_each_first(members[name])[:MAX_GROUP_PHOTOS]),
            len(members[name]),
            _splits(members[name]),
            _species(members[name]),
        )
        for name in heapq.nsmallest(MAX_GROUPS, members, key=worst_first)
    ]


def choose_extremes(photos: Sequence[CardPhoto], thumbnails: Thumbnails) -> list[Extreme]:
    """Returns the darkest, brightest, smallest and longest photos, where they differ from the rest at all."""
    scales: Mapping[str, Callable[[CardPhoto], float]] = {
        "Darkest": lambda photo: photo.brightness,
        "Brightest": lambda photo: -photo.brightness,
        "Smallest": lambda photo: photo.source_width * photo.source_height,
        "Longest": lambda photo: (
            -max(photo.source_width / photo.source_height, photo.source_height / photo.source_width)
        ),
    }
    return [
        Extreme(title, thumbnails.show(heapq.nsmallest(EXTREMES, photos, key=scale)))
        for title, scale in scales.items()
        if len({scale(photo) for photo in photos}) > 1
    ]


def evenly(items: Sequence[T], limit: int) -> list[T]:
    """Returns at most `limit` items, evenly from the first to the last."""
    if len(items) <= limit:
        return list(items)
    return [items[index * (len(items) - 1) // (limit - 1)] for index in range(limit)]


def _one_of_each_first(group: Sequence[CardPhoto]) -> list[CardPhoto]:
    # Else the only photo in another split could be among those that are not shown.
    seen: collections.Counter[Hashable] = collections.Counter()
    turns: list[int] = []
    for photo in group:
        turns.append(seen[photo.split, photo.species])
        seen[photo.split, photo.species] += 1
    return [group[index] for index in sorted(range(len(group)), key=turns.__getitem__)]


def _splits(group: Iterable[CardPhoto]) -> list[str]:
    present = {photo.split for photo in group}
    return [split for split in ("train", "val", "test") if split in present]


def _species(group: Iterable[CardPhoto]) -> list[str]:
    return sorted({photo.species for photo in group})
