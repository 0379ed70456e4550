"""Species in file names, such as Monarch_001.jpg and "Red Admiral (2).jpg"."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from butterflyer_jax.data.ingest import unclear, words
from butterflyer_jax.data.ingest.folders import circumstances
from butterflyer_jax.data.ingest.folders.reading import Folders, some

# Generic names that cameras and programs give to photos.
_CAMERAS = frozenset(
    words.listed(
        """
    img dsc dscn dscf pxl image images photo foto picture pic file frame p pict cimg screenshot wp mvimg gopr sam
    untitled download crop
    """
    )
)
# Counters of the photos of a species or of a camera, before or after its name.
_COUNTER = re.compile(
    rf"^(?:(?:{'|'.join(sorted(_CAMERAS))})[\s_-]?)?\d+(?=[\s_.-])|(?:\(\d+\)|\d+|[\s_-](?:copy|kopie))$", re.IGNORECASE
)
_EDGES = " _.-"
CHOICES = "build.layout=leaf takes the folders, build.layout=name takes the names of the photos"
# Last words in the names of photos that show no butterfly.
_BESIDE = unclear.OF_SPECIMENS | unclear.AROUND | unclear.DOUBTFUL
# "on host plant" is a photo of the butterfly.
_WITH = frozenset(words.listed("on at with near in auf an mit im am sur en avec su con sobre op på"))
_AT_END = re.compile(r"[\s_.-]*(?:\d+|\(\d+\))?$")
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
# Shorter labels may stand in file names by chance.
MIN_LETTERS = 4
# Share of the photos whose names must contain a species that another photo has too.
_MIN_SHARE = 0.9


def label_of(photo: str) -> str:
    """Returns a photo's file name without counters and suffix; "" where nothing remains."""
    name = posixpath.splitext(posixpath.basename(photo))[0].strip(_EDGES)
    while (shorter := _COUNTER.sub("", name).strip(_EDGES)) != name:
        name = shorter
    inner = _IN_BRACKETS.fullmatch(name)
    return words.plain((inner[1] if inner else name).replace("_", " "))


def leading_numbers(photos: Iterable[str]) -> list[str]:
    """Returns the first three digits of file names where they seem to number species, as in Leeds Butterfly; else [].

    Such names (0010001.png, 0010002.png, 0020001.png) have seven digits or more, and each prefix occurs more than once.
    """
    stems = [posixpath.splitext(posixpath.basename(photo))[0] for photo in photos]
    if not all(re.fullmatch(r"\d{7,}", stem) for stem in stems):
        return []
    found = Counter(stem[:3] for stem in stems)
    return sorted(found) if len(found) > 1 and min(found.values()) > 1 else []


def likely_labels(photos: Iterable[str]) -> list[str]:
    """Returns the species that file names seem to contain, sorted; [] where they seem to contain none."""
    found = Counter(map(label_of, photos))
    several = {
        label: number for label, number in found.items() if number > 1 and words.squeeze(label) not in {"", *_CAMERAS}
    }
    return sorted(several) if len(several) > 1 and sum(several.values()) >= _MIN_SHARE * found.total() else []


def other_species(labels: Mapping[str, str]) -> str:
    """Returns a note on photos that are named after another species: "Monarch/Peacock_1.jpg"; "" for none."""
    return _other_species(_by_name_and_label(labels))


def _by_name_and_label(labels: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo, label in labels.items():
        found[label_of(photo), label].append(photo)
    return found


def _other_species(photos: Mapping[tuple[str, str], Sequence[str]]) -> str:
    by_name = {words.squeeze(label): label for _, label in photos if len(label) >= MIN_LETTERS}
    others = {
        (name, label): by_name[words.squeeze(name)]
        for name, label in photos
        if words.squeeze(name) in by_name and words.squeeze(name) != words.squeeze(label)
    }
    if not others:
        return ""
    photo, pair = min((min(photos[pair]), pair) for pair in others)
    number = sum(len(photos[pair]) for pair in others)
    return f"{number:,} photos are named after another species: {photo} is {others[pair]} by its name, {pair[1]}"


def beside(labels: Mapping[str, str]) -> tuple[str, str]:
    """Returns a note on photos of what is no butterfly, and patterns of them: A1_label.jpg, habitat_0.jpg.

    Other photos of their species are not named so.
    """
    found = {photo: own for photo, label in labels.items() if (own := _pattern_beside(photo, label))}
    others = {label for photo, label in labels.items() if photo not in found} if found else set()
    found = {photo: own for photo, own in found.items() if labels[photo] in others}
    if not found:
        return "", ""
    example = f"{len(found):,} photos such as {min(found)}"
    note = f"{example} may show a label, a plant or a habitat, or another species, as their names say"
    return note, ",".join(sorted(set(found.values())))


def _pattern_beside(photo: str, label: str) -> str:
    """Returns a pattern of the photos whose names end as this one's does in what is no butterfly; "" for others."""
    stem = posixpath.splitext(posixpath.basename(photo))[0]
    found = _AT_END.search(stem)
    end = found.start() if found else len(stem)
    starts = [match.start() for match in re.finditer(r"[^\W_]+", stem[:end])]
    for count in (1, 2):
        if len(starts) < count:
            continue
        start = starts[-count]
        word = words.squeeze(stem[start:end])
        before = words.squeeze(stem[starts[-count - 1] : start]) if len(starts) > count else ""
        if word in _BESIDE and before not in _WITH and word not in words.squeeze(label):
            head = f"*{stem[start - 1]}" if start else ""
            counter = re.sub(r"\d+", "*", stem[end:])
            return re.sub(r"[][?,]", "?", f"{head}{stem[start:end]}{counter}.*")
    return ""


def check_beside(result: Folders) -> None:
    """Records a problem where photos may show what lies beside a specimen or a butterfly."""
    note, patterns = beside({photo: place.label for photo, place in result.places.items()})
    if note:
        result.ask(
            note, f"build.ignore={patterns} leaves them out, build.layout=leaf takes them as photos of the species"
        )


def check(result: Folders) -> None:
    """Records a problem where the names of photos may be the species, or are those of other species.

    "Pieridae/Pieris rapae 1.jpg", or "Pieris/rapae_1.jpg" and "Pieris/napi_1.jpg"; "Monarch/Peacock_1.jpg".
    """
    photos = _by_name_and_label({photo: place.label for photo, place in result.places.items()})
    if wrong := _other_species(photos):
        result.ask(f"{wrong} by the folders", CHOICES)
    if wrong or words.are_binomials(result.labels):
        return
    below: dict[str, set[str]] = defaultdict(set)
    for name, label in photos:
        # A word that stands in the names of several folders says nothing about species.
        below[name].add(f"{label} {name}" if name.islower() else name)
    number: Counter[str] = Counter()
    for (name, _), own in photos.items():
        number[name] += len(own)
    found = {name for own in below.values() for name in own}
    repeated = sum(number[name] for name in below if number[name] > 1 and circumstances.kind_of(name) is None)
    if (
        len(found) > len(result.labels)
        and all(len(own) == 1 for own in below.values())
        and repeated >= _MIN_SHARE * len(result.places)
        and words.are_binomials(found)
    ):
        result.ask(
            f"the species may be the folders ({some(result.labels, 3)}) or the names of their photos "
            f"({some(below, 3)})",
            CHOICES,
        )
