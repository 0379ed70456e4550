"""Masks: images beside photos that their names or their pixels give away."""

from __future__ import annotations

import posixpath
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo
from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders.reading import pattern, some
from butterflyer_jax.errors import UserError

# Images of a folder that are decoded; all but one must be masks.
SAMPLES = 5
# Files of masks compress well. Folders of larger ones are not looked into: photos are not decoded twice.
SMALL = 1 / 3
LOSSLESS = frozenset(words.listed("png gif bmp tif tiff"))
MAX_PIXELS = 25_000_000
MAX_BYTES = 8 << 20
# A mask has few values: one per class, or black and white with soft edges.
MAX_COLOURS = 8
EXTREME_LEVELS = 16
MIN_EXTREME = 0.9
MIN_OF_EACH = 0.005
_SIDE = 128


def beside_photos(photos: Iterable[str]) -> set[str]:
    """Returns the images of one folder that are masks or thumbnails of others in it: "1_mask.png" beside "1.jpg"."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in photos:
        by_stem[posixpath.splitext(name)[0]].append(name)
    found: set[str] = set()
    for stem, names in by_stem.items():
        folder, own = posixpath.split(stem)
        if (of := words.without_mask_word(own)) != own and posixpath.join(folder, of) in by_stem:
            found.update(names)
    return found


def check(labels: Mapping[str, str], num_bytes: Callable[[str], int], read: Callable[[str], bytes]) -> None:
    """Raises a UserError where the images of a label look like masks by their pixels, and those of others do not.

    Args:
      labels: label of each photo, given by its folder.
      num_bytes: returns the size of a file.
      read: returns the first `MAX_BYTES` of a file.
    """
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for name, label in labels.items():
        sizes[label][name] = num_bytes(name)
    found = _labels_of_masks(sizes, read) if len(sizes) > 1 else []
    if not found:
        return
    folders = sorted({posixpath.dirname(name) for label in found for name in sizes[label]})
    raise UserError(
        f"{some(f'{folder}/' for folder in folders)} (photos: {sum(len(sizes[label]) for label in found):,}) may be a "
        "class beside the species, or hold masks: images of black and white, or of a few flat colours; "
        f"build.ignore={','.join(map(pattern, folders))} leaves it out, build.layout=leaf takes each innermost folder "
        "as a class"
    )


def _labels_of_masks(sizes: Mapping[str, Mapping[str, int]], read: Callable[[str], bytes]) -> list[str]:
    usual = {label: statistics.median(files.values()) for label, files in sizes.items()}
    suffixes = {label: {name.rpartition(".")[2].lower() for name in files} for label, files in sizes.items()}
    number_with = Counter(suffix for found in suffixes.values() for suffix in found)
    median = statistics.median(usual.values())
    masks = []
    for label, files in sizes.items():
        own_kind = suffixes[label] <= LOSSLESS and all(number_with[suffix] == 1 for suffix in suffixes[label])
        if (own_kind or usual[label] < SMALL * median) and len(files) > 1 and _are_masks(sorted(files), read):
            masks.append(label)
    return masks if len(masks) < len(sizes) else []


def _are_masks(names: Sequence[str], read: Callable[[str], bytes]) -> bool:
    count = min(SAMPLES, len(names))
    others = 0
    for number in range(count):
        others += not _is_mask(read(names[number * (len(names) - 1) // max(1, count - 1)]))
        if others > (count >= SAMPLES):
            return False
    return True


def _is_mask(data: bytes) -> bool:
    try:
        image = photo.open_image(data)
        if image.width * image.height > MAX_PIXELS:
            return False
        if image.mode in ("I", "I;16", "F"):
            return False
        small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    except Exception:
        # What is damaged is rejected later, with its reason.
        return False
    pixels = np.asarray(small).reshape(-1, 3)
    if 2 <= len(np.unique(pixels, axis=0)) <= MAX_COLOURS:
        return True
    levels = pixels[:, 0]
    if np.abs(pixels.astype(np.int16) - levels[:, None]).max() > EXTREME_LEVELS:
        return False
    dark, bright = (levels <= EXTREME_LEVELS).mean(), (levels >= 255 - EXTREME_LEVELS).mean()
    return bool(dark + bright >= MIN_EXTREME and min(dark, bright) >= MIN_OF_EACH)
