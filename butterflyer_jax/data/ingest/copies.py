"""Copies of one photo by their names: other sizes, edited and augmented versions, in any folder of the species."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from butterflyer_jax.data.ingest import words

_WORDS = "|".join(
    words.listed(
        r"""
    small medium large thumb(?:nail)? preview square full(?:size)? orig(?:inal)? scaled resized web \d{2,4}x\d{2,4}
    \d{2,4}px [hv]?flip(?:ped)? flip[hv] mirror(?:ed)? rot(?:at(?:ed?|ion))?[-_]?\d* aug(?:mented|mentation)?[-_]?\d*
    blur(?:red)? nois[ey] bright(?:ness|er)? dark(?:er)? contrast crop(?:ped)? edit(?:ed)? gr[ae]y(?:scale)? bw hue
    saturation sharpen(?:ed)? zoom(?:ed)? shear shift(?:ed)? effects
    """
    )
)
_END = re.compile(rf"[-_ .(]+(?:{_WORDS})\)?$", re.IGNORECASE)
_START = re.compile(rf"^(?:{_WORDS})[-_ ](?:\d+[-_ ])?(?=.)", re.IGNORECASE)
# "12_jpg.rf.3f2a…" of Roboflow, "IMG_E0012" of Apple, "Monarch_original_12.jpg_3f2a…" of Augmentor.
_OF_PROGRAMS = (
    (re.compile(r"[_-](?:jpe?g|png|webp)\.rf\.\w+$", re.IGNORECASE), ""),
    (re.compile(r"^IMG_E(?=\d{4})"), "IMG_"),
    (re.compile(r"^.*_original_(.+)\.\w{3,4}_[0-9a-f-]{36}$"), r"\1"),
)
_FOLDER = re.compile(
    rf"(?:{_WORDS}|raw|augmentations?|edits|originals|thumb(?:nail)?s|versions?|copies)", re.IGNORECASE
)


def keys(photos: Sequence[str], species: Sequence[str]) -> list[tuple[str, ...] | None]:
    """Returns a key for each photo that is equal for copies of one photo; None for photos without a copy.

    Args:
      photos: paths of the photos.
      species: species of each; copies are of one species.
    """
    found = [(label, *_key(photo, label)) for photo, label in zip(photos, species, strict=True)]
    # A copy may lie in another split than its photo, unless each split numbers its photos anew.
    across = [(key[0], *(part for part in key[1:-1] if not words.split_of(part)), key[-1]) for key in found]
    splits: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for photo, own, key in zip(photos, found, across, strict=True):
        if posixpath.splitext(posixpath.basename(photo))[0] == key[-1]:
            splits[key].add(own)
    if all(len(of) == 1 for of in splits.values()):
        found = across
    number = Counter(found)
    return [key if number[key] > 1 else None for key in found]


def _key(photo: str, label: str) -> tuple[str, ...]:
    folder, name = posixpath.split(photo)
    parts = [
        part for part in folder.split("/") if not _FOLDER.fullmatch(part) or words.squeeze(part) == words.squeeze(label)
    ]
    return *parts, without_marks(posixpath.splitext(name)[0])


def without_marks(stem: str) -> str:
    """Returns a photo's name without what programs add to the names of its copies; never blank."""
    for pattern, by in _OF_PROGRAMS:
        stem = pattern.sub(by, stem)
    shorter = ""
    while shorter != stem:
        shorter, stem = stem, _START.sub("", _END.sub("", stem)) or stem
    return stem
