"""Near-duplicate photos, found by a perceptual hash and colours; they must share a split."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer
from PIL import Image

from butterflyer_jax import cores

# 16 x 16 differences between neighbours: https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
HASH_SIDE = 16
NUM_BITS = HASH_SIDE**2
# On a plain background most neighbours are equal and most bits carry no information, so fewer bits may differ.
_MIN_DIFFERENCE = 2
# Mean colours of 4 x 4 cells. A copy that is a tenth brighter or darker differs by less than this.
GRID_SIDE = 4
MAX_CHROMA_DIFFERENCE = 24
MAX_COLOUR_DIFFERENCE = 48
METHOD = f"dhash of {NUM_BITS} bits and colours of {GRID_SIDE}x{GRID_SIDE} parts"

_WORDS = NUM_BITS // 64
_HASH_BYTES = NUM_BITS // 8
_COLOUR_BYTES = 3 * GRID_SIDE**2
_SIGNATURE_BYTES = _HASH_BYTES + 2 + _COLOUR_BYTES
# Photos compared at once: the pairs of a block fit into the processor's cache.
_BLOCK = 1024
_COLOUR_BLOCK = 1 << 14


@dataclass(frozen=True)
class _Signatures:
    """Arrays of the parts of `perceptual_hash` for n photos.

    Attributes:
      words: the difference hash, uint64 [4, n].
      informative: number of bits whose neighbours differ visibly, int32 [n].
      colours: mean colours of the cells, int16 [n, 16, 3].
    """

    words: np.ndarray
    informative: np.ndarray
    colours: np.ndarray


def perceptual_hash(image: Image.Image) -> str:
    """Returns the perceptual hash of an image, similar for near-duplicates, as hexadecimal digits.

    The difference hash (256 bits; 1 where a pixel of a 17 x 16 thumbnail is darker than its right neighbour), the
    number of informative bits (uint16, big-endian), and the mean colours of 4 x 4 parts. Integer arithmetic
    throughout, so the same on any machine. A copy that was scaled, compressed again or made brighter differs in few
    bits: near-duplicates of the Leeds Butterfly set in at most 10, other pairs there in more than 40.

    Args:
      image: image of mode RGB.
    """
    # Reduced by whole numbers first, in one pass over the pixels: the filters after it are wide.
    across, down = (max(1, side // (4 * HASH_SIDE)) for side in image.size)
    small = image.reduce((across, down))
    # What the reduced image stands for: its last column and row may be means of fewer pixels.
    box = (0, 0, image.width / across, image.height / down)
    grey = small.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS, box)
    thumbnail = np.asarray(grey, np.int16)
    differences = thumbnail[:, 1:] - thumbnail[:, :-1]
    informative = int(np.count_nonzero(np.abs(differences) >= _MIN_DIFFERENCE))
    colours = small.resize((GRID_SIDE, GRID_SIDE), Image.Resampling.BOX, box)
    return (np.packbits(differences > 0).tobytes() + informative.to_bytes(2, "big") + colours.tobytes()).hex()


def compare(one: str, other: str, max_bits: int) -> tuple[bool, bool]:
    """Returns whether two photos have the same structure, and whether they have the same colours.

    Args:
      one, other: results of `perceptual_hash`.
      max_bits: largest number of differing bits if all 256 are informative, as for `group`.
    """
    parts = _parts(np.array([np.frombuffer(bytes.fromhex(text), np.uint8) for text in (one, other)]))
    distance = int(np.bitwise_count(parts.words[:, 0] ^ parts.words[:, 1]).sum())
    structure = max_bits * int(parts.informative.min()) >= NUM_BITS * distance
    return structure, bool(_have_same_colours(parts.colours, np.array([0]), np.array([1]))[0])


def group(hashes: list[str], max_bits: int) -> Integer[np.ndarray, " count"]:
    """Numbers groups of near-duplicates: photos with the same structure and the same colours.

    Args:
      hashes: results of `perceptual_hash`, one per photo.
      max_bits: largest number of differing bits if all 256 are informative; with fewer, less in
        proportion.
        Two near-duplicates of a third are in one group.

    Returns:
      int [len(hashes)], equal for near-duplicates and for photos linked by others; the values are arbitrary.
    """
    if not hashes:
        return np.zeros(0, np.int64)
    signatures = np.array([np.frombuffer(bytes.fromhex(text), np.uint8) for text in hashes])
    unique, positions = np.unique(signatures, axis=0, return_inverse=True)
    return _connect(unique, max_bits)[positions.reshape(-1)]


def _connect(signatures: np.ndarray, max_bits: int) -> np.ndarray:
    """Numbers the connected components of signatures, uint8 [n, `_SIGNATURE_BYTES`], by comparing every pair.

    It takes a nanosecond per pair and core: 20 s for 200,000 photos, a fifteenth of the time to decode them.
    """
    count = len(signatures)
    parts = _parts(signatures)
    components = np.arange(count)
    num_threads = cores.usable()
    with ThreadPoolExecutor(num_threads) as pool:
        # A few blocks at a time, merged before the next ones: the pairs of a large cluster would not fit into memory.
        for some in range(0, count, num_threads * _BLOCK):
            starts = range(some, min(count, some + num_threads * _BLOCK), _BLOCK)
            for first, second in pool.map(lambda start: _pairs(parts, start, max_bits), starts):
                if len(first):
                    components = _components(components[first], components[second], count)[components]
    return components


def _parts(signatures: np.ndarray) -> _Signatures:
    """Returns the parts of signatures, uint8 [n, `_SIGNATURE_BYTES`]."""
    hashes, informative, colours = np.split(signatures, [_HASH_BYTES, _HASH_BYTES + 2], axis=1)
    return _Signatures(
        np.ascontiguousarray(np.ascontiguousarray(hashes).view(np.uint64).T),
        informative.astype(np.int32) @ np.array([256, 1], np.int32),
        colours.astype(np.int16).reshape(len(signatures), -1, 3),
    )


def _components(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Numbers the connected components of `count` points with edges between `first` and `second`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), bool), (first, second)), (count, count))
    return connected_components(graph, directed=False)[1]


def _pairs(parts: _Signatures, start: int, max_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of near-duplicates (i, j), int64 [pairs] each: i in the block from `start` on, j > i.

    Only enough pairs to keep each cluster connected.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    rows = parts.words[:, start : start + _BLOCK]
    for other in range(start, parts.words.shape[1], _BLOCK):
        columns = parts.words[:, other : other + _BLOCK]
        # One word of the hash excludes most pairs; all words are compared only for the rest.
        close = np.bitwise_count(rows[1][:, None] ^ columns[1]) <= max_bits
        i, j = np.nonzero(close)
        distance = np.zeros(len(i), np.int32)
        for word in range(_WORDS):
            distance += np.bitwise_count(rows[word][i] ^ columns[word][j])
        i, j = start + i, other + j
        informative = np.minimum(parts.informative[i], parts.informative[j])
        near = (NUM_BITS * distance <= max_bits * informative) & (i < j)
        i, j = i[near], j[near]
        alike = _have_same_colours(parts.colours, i, j)
        found.append(_spanning(i[alike], j[alike]))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def _have_same_colours(colours: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns bool [pairs]: whether colours, int16 [n, cells, 3], differ no more than by brightness and compression."""
    results = [np.zeros(0, bool)]
    for start in range(0, len(first), _COLOUR_BLOCK):
        pairs = slice(start, start + _COLOUR_BLOCK)
        difference = colours[first[pairs]] - colours[second[pairs]]
        # Red and blue relative to green: brightness changes these less.
        chroma = np.abs(difference[..., ::2] - difference[..., 1:2]).max(axis=(1, 2))
        colour = np.abs(difference).max(axis=(1, 2))
        results.append((chroma <= MAX_CHROMA_DIFFERENCE) & (colour <= MAX_COLOUR_DIFFERENCE))
    return np.concatenate(results)


def _spanning(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns fewer edges with the same connected components: at most one per point."""
    if len(first) <= 2 * _BLOCK:
        return first, second
    points, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    components = _components(places[: len(first)], places[len(first) :], len(points))
    _, leaders = np.unique(components, return_index=True)
    return points[leaders][components], points
