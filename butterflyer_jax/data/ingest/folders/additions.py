"""Folders of one species that differ by a sex, a stage, a view or a date: "Monarch male", "Monarch 2020-05-01"."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from butterflyer_jax.data.ingest import same_species, words
from butterflyer_jax.data.ingest.folders import circumstances
from butterflyer_jax.data.ingest.folders.reading import Folders, some

_WORDS = re.compile(r"[^\s_()\[\],]+")
_BRACKETS = re.compile(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]")
_VERSIONS = frozenset(words.listed("augmented augmentation synthetic generated resized cropped edited flipped rotated"))
# "Aglais io 97%", "Aglais io 0.97".
_CONFIDENCE = re.compile(r"\d{1,3}(?:[.,]\d+)?%|0[.,]\d+")
_OF = frozenset(words.listed("of von vom de du di do da van av"))
# Largest number of words in an addition: "2020 05 01".
_MOST = 3


def check(result: Folders) -> None:
    """Records a problem where labels differ only by additions or dates, or are names of one species."""
    if several := alike(result.labels):
        example = min(several[0], key=len)
        result.ask(
            f"the folders {some(several[0])}{more(several)} differ only by what is no part of the name of a species, "
            "and may be one species or several classes",
            "build.layout=leaf takes each as a class; for one species, put them into one folder: "
            f"{_base(example) or example}/",
        )
        return
    _check_names(result)
    _check_dates(result)


def _check_names(result: Folders) -> None:
    """Records a problem where labels are names of one species, and a note where they may be."""
    places = result.places.values()
    in_train = {place.label for place in places if place.split == "train"}
    if in_train and in_train.isdisjoint(place.label for place in places if place.split != "train"):
        # The user is asked about that: no species of test is in train.
        return
    if several := same_species.groups(result.labels):
        result.ask(
            f"the folders {some(several[0])}{more(several)} have names of one species",
            "build.layout=leaf takes each as a class; for one species, put them into one folder",
        )
    elif found := same_species.in_two_languages(result.labels):
        scientific, others = found
        result.notes.append(
            f"{len(scientific):,} folders have scientific names ({some(scientific, 2)}), {len(others):,} have others "
            f"({some(others, 2)}): where two are one species, put them into one folder"
        )


def more(groups: Sequence[Collection[str]]) -> str:
    """Returns how many groups of labels there are besides the first, for messages."""
    return f", and {len(groups) - 1:,} more groups like these," if len(groups) > 1 else ""


def alike(labels: Collection[str]) -> list[set[str]]:
    """Returns the groups of labels that differ by additions, each of two or more labels, sorted.

    Those that differ in spelling alone are named in the build's findings. Where all labels have the same base, the
    additions are what the classifier is to learn.
    """
    in_brackets = {label: (found[1], found[2]) for label in labels if (found := _BRACKETS.fullmatch(label))}
    bases: dict[str, set[str]] = defaultdict(set)
    for base, inside in in_brackets.values():
        bases[inside].add(base)
    groups: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        base, inside = in_brackets.get(label, ("", ""))
        # What stands behind several names belongs to none of them: "Monarch (Ann)", "Peacock (Ann)". Authors do, too.
        is_addition = len(bases[inside]) > 1 and not any(map(str.isdigit, inside)) and not words.are_binomials([base])
        groups[without_additions(base if is_addition else label)].add(label)
    if len(groups) == 1:
        return []
    return [found for _, found in sorted(groups.items()) if len(set(map(words.squeeze, found))) > 1]


def _check_dates(result: Folders) -> None:
    """Records a problem where all labels have a date, and not the same one: "Spain 2019", "Greece 2020"."""
    dates = {label: circumstances.date_in(label) for label in result.labels}
    bare = [label.replace(date, "").strip(" _.-") for label, date in dates.items()]
    if len(set(dates.values())) > 1 and all(dates.values()) and not words.are_binomials(bare):
        result.ask(
            f"the folders {some(dates)} have dates in their names, and may be places or excursions",
            "build.layout=leaf takes them as species",
        )


def without_additions(label: str) -> str:
    """Returns a label without sex, stage, view, date, session and place at its end, in lower case; never blank."""
    return words.squeeze(_base(label)) or words.squeeze(label)


def _base(label: str) -> str:
    parts = _WORDS.findall(label)
    shorter: list[str] | None = parts
    while shorter is not None:
        parts, shorter = shorter, _shorter(shorter)
    return " ".join(parts)


def _shorter(parts: list[str]) -> list[str] | None:
    """Returns the words of a label without one addition, None where there is none."""
    for count in range(min(_MOST, len(parts) - 1), 0, -1):
        if circumstances.kind_of(" ".join(parts[-count:])) not in (None, "number"):
            return parts[:-count]
    if len(parts) > 1 and words.squeeze(parts[-1]) in _VERSIONS:
        return parts[:-1]
    if len(parts) > 1 and _CONFIDENCE.fullmatch(parts[-1]):
        return parts[:-1]
    # In front, a place or a season is a part of the name: Eastern Comma, Spring Azure.
    if len(parts) > 1 and circumstances.is_sex_or_stage(parts[0]):
        # "larva of Aglais io"
        return parts[2:] if len(parts) > 2 and parts[1].casefold() in _OF else parts[1:]
    return None
