"""Masks: images beside photos that their names or their pixels give away."""

from __future__ import annotations

import contextlib
import posixpath
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from butterflyer_jax.data import photo
from butterflyer_jax.data.ingest import duplicates, words
from butterflyer_jax.data.ingest.folders.reading import pattern, some
from butterflyer_jax.errors import UserError

# Images of a folder that are decoded; all but one must be masks.
SAMPLES = 5
# Files of masks compress well. Larger ones are looked into where that costs little: JPEGs are decoded at an eighth of
# their size, other formats do not compress; and not where there are many labels.
SMALL = 1 / 3
CHEAP = (frozenset(["jpg", "jpeg"]), frozenset(["bmp", "tif", "tiff"]))
MAX_LABELS = 100
# Folders that may hold masks of the same names as photos: more are sessions or observations.
MAX_COUNTERPARTS = 8
# Bits of the perceptual hash by which a photo and its copy in grey differ.
MAX_BITS = 26
MIN_SAME = 0.9
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
    """Raises a UserError where the images of a label, or of folders within labels, look like masks by their pixels.

    Args:
      labels: label of each photo, given by its folder.
      num_bytes: returns the size of a file.
      read: returns the first `MAX_BYTES` of a file.
    """
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for name, label in labels.items():
        sizes[label][name] = num_bytes(name)
    found = _labels_of_masks(sizes, read) if len(sizes) > 1 else []
    names = [name for label in found for name in sizes[label]]
    folders = [*map(pattern, sorted({posixpath.dirname(name) for name in names}))]
    if not found:
        counterparts = _counterparts(sizes)
        within = [part for part, files in counterparts.items() if _are_masks(sorted(files), read)]
        if not within or len(within) == len(counterparts):
            _check_other_colours(counterparts, read)
            return
        names = [name for part in within for name in counterparts[part]]
        top = {name.split("/")[0] for name in names}
        folders = [pattern(part) if part in top else "*/" + pattern(part) for part in sorted(within)]
    raise UserError(
        f"{some(folder.removesuffix('*') for folder in folders)} (photos: {len(names):,}) may be a class beside the "
        "species, or hold masks: images of black and white, or of a few flat colours; "
        f"build.ignore={','.join(folders)} leaves it out, build.layout=leaf takes each innermost folder as a class"
    )


def _check_other_colours(counterparts: Mapping[str, Sequence[str]], read: Callable[[str], bytes]) -> None:
    """Raises a UserError where two folders hold the same pictures in other colours: "colour" and "greyscale".

    Copies of the same colours are near-duplicates, and found as such.
    """
    first, *others = counterparts or [""]
    for other in others:
        pairs = [*zip(counterparts[first], counterparts[other], strict=False)][:SAMPLES]
        hashes = [[_hash(read(name)) for name in pair] for pair in pairs]
        alike = [duplicates.compare(one, two, MAX_BITS) if one and two else (False, False) for one, two in hashes]
        if all(structure for structure, _ in alike) and not all(colours for _, colours in alike):
            raise UserError(
                f"{first}/ and {other}/ hold the same pictures in other colours, which would lie in different splits: "
                f"build.ignore=*{pattern(other)} leaves the second out, build.layout=leaf takes both"
            )


def _hash(data: bytes) -> str:
    with contextlib.suppress(Exception):
        # What is damaged is rejected later, with its reason.
        image = photo.open_image(data)
        if image.width * image.height <= MAX_PIXELS:
            return duplicates.perceptual_hash(image.convert("RGB"))
    return ""


def _counterparts(labels: Mapping[str, Iterable[str]]) -> Mapping[str, list[str]]:
    """Returns the images below each of the few folders that hold the same names of files in several labels.

    "colour/Monarch/1.jpg" and "bits/Monarch/1.jpg", or "Monarch/colour/1.jpg" and "Monarch/bits/1.jpg".
    """
    found: dict[str, list[str]] = defaultdict(list)
    of_labels: Counter[str] = Counter()
    for files in labels.values():
        by_folder: dict[str, dict[str, str]] = defaultdict(dict)
        for name in files:
            folder, file = posixpath.split(name)
            by_folder[folder][posixpath.splitext(file)[0]] = name
        if not 1 < len(by_folder) <= MAX_COUNTERPARTS:
            continue
        first, *others = sorted(by_folder)
        for other in others:
            one, two = by_folder[first], by_folder[other]
            differ = [pair for pair in zip(first.split("/"), other.split("/"), strict=False) if pair[0] != pair[1]]
            same = one.keys() & two.keys()
            if (
                len(differ) != 1
                or first.count("/") != other.count("/")
                or len(same) < MIN_SAME * min(len(one), len(two))
            ):
                continue
            for part, own in zip(differ[0], (one, two), strict=True):
                found[part] += [own[stem] for stem in same]
            of_labels.update(differ[0])
    return (
        {part: sorted(set(found[part])) for part in found if of_labels[part] > 1}
        if len(found) <= MAX_COUNTERPARTS
        else {}
    )


def _labels_of_masks(sizes: Mapping[str, Mapping[str, int]], read: Callable[[str], bytes]) -> list[str]:
    usual = {label: statistics.median(files.values()) for label, files in sizes.items()}
    suffixes = {label: {name.rpartition(".")[2].lower() for name in files} for label, files in sizes.items()}
    number_with = Counter(suffix for found in suffixes.values() for suffix in found)
    median = statistics.median(usual.values())
    masks = []
    for label, files in sizes.items():
        own_kind = suffixes[label] <= LOSSLESS and all(number_with[suffix] == 1 for suffix in suffixes[label])
        cheap = len(sizes) <= MAX_LABELS and any(suffixes[label] <= kinds for kinds in CHEAP)
        likely = own_kind or cheap or usual[label] < SMALL * median
        if likely and len(files) > 1 and _are_masks(sorted(files), read):
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
        image.draft("RGB", (_SIDE, _SIDE))
        if image.mode in ("I", "I;16", "F"):
            return False
        small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    except Exception:
        # What is damaged is rejected later, with its reason.
        return False
    pixels = np.asarray(small).reshape(-1, 3)
    # Each colour as one number: a search for different rows takes 8 ms.
    if 2 <= len(np.unique(pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32))) <= MAX_COLOURS:
        return True
    levels = pixels[:, 0]
    if np.abs(pixels.astype(np.int16) - levels[:, None]).max() > EXTREME_LEVELS:
        return False
    dark, bright = (levels <= EXTREME_LEVELS).mean(), (levels >= 255 - EXTREME_LEVELS).mean()
    return bool(dark + bright >= MIN_EXTREME and min(dark, bright) >= MIN_OF_EACH)
