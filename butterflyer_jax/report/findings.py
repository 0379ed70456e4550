"""Findings in a data set that a person should check before training."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from butterflyer_jax.report.pictures import CardPhoto

MAX_NAMES = 12
# Letters of a name from which on one letter more or less may be a typing error.
MIN_TYPED = 9
MAX_IMBALANCE = 20
MAX_REJECT_SHARE = 0.01
MAX_ENLARGED_SHARE = 0.1
# What file managers, clouds and people add to a second folder of one name; numbers count without their zeros.
_COPY = re.compile(
    r"(?:\s*(?:\(\d+\)|[\s_-]+(?:copy|kopie|copie|copia|kopia|cópia)(?:\s*\(?\d+\)?)?|\(.*conflict.*\)|~\d))+$"
    r"|^(?:copy of|kopie von|copie de|copia de) |\b0+(?=\d)",
    re.IGNORECASE,
)
# Doubt about a determination, and the authors of a scientific name: "Pieris cf. napi", "Pieris napi (Linnaeus, 1758)".
_DOUBT = re.compile(r"\b(?:cf|aff|prob)\b\.?|\?", re.IGNORECASE)
_AUTHOR = re.compile(r"([A-Z][a-z-]+[\s_]+[a-z-]+(?:[\s_]+[a-z-]{3,})?)[\s,_]+\(?[A-Z].*")
_ABBREVIATED = re.compile(r"([A-Z])[a-z]?\.[\s_]*([a-z-]{2,})")
_TRINOMIAL = re.compile(r"([A-Z][a-z-]+[\s_][a-z-]+)[\s_]+(?:(?:ssp|subsp|var|f|form)\.?[\s_]+)?([a-z-]+)")
_BINOMIAL = re.compile(r"([A-Z][a-z]+)[\s_][a-z-]{2,}")
_COUNTER = re.compile(r"(?<=[^\W\d]{4})[\s_-]?\d$")


@dataclass(frozen=True)
class Finding:
    """One finding; `serious` if it would make the measured accuracy wrong.

    `advice` follows the names on the console, which shows no `text`.
    """

    title: str
    text: str
    serious: bool = False
    names: Sequence[str] = field(default_factory=tuple)
    advice: str = ""

    @property
    def first_names(self) -> Sequence[str]:
        """The names that the page has room for."""
        return self.names[:MAX_NAMES]


def find(card: Mapping[str, Any], photos: Sequence[CardPhoto]) -> list[Finding]:
    """Returns the findings of a data set, serious ones first."""
    findings = (
        *_spellings(card["species"]),
        *_typing_errors(card["species"]),
        *_subspecies(card["species"]),
        *_genera(card["species"]),
        *_duplicates(card["near_duplicates"]),
        *_groups(card["groups"]),
        *_splits(card),
        *_balance(card),
        *_files(card),
        *_sizes(photos, card["build"]["image_size"]),
    )
    return sorted(findings, key=lambda finding: not finding.serious)


def count_enlarged(photos: Sequence[CardPhoto], image_size: int) -> int:
    """Returns how many photos are smaller in the zip than they are stored."""
    return sum(min(photo.source_width, photo.source_height) < image_size for photo in photos)


def counted(number: int, one: str, many: str) -> str:
    """Returns `1 photo` or `1,704 photos`."""
    return f"{number:,} {one if number == 1 else many}"


def share(part: int, whole: int) -> str:
    """Returns a percentage that is 0% or 100% only where it is so."""
    percent = 100 * part / whole
    if 0 < percent < 1 or 99 < percent < 100:
        return "less than 1%" if percent < 1 else "more than 99%"
    return f"{percent:.0f}%"


def _duplicates(near: Mapping[str, Any]) -> Iterator[Finding]:
    if near["across_splits"]:
        yield Finding(
            counted(near["across_splits"], "leak between splits", "leaks between splits"),
            "Near-duplicates lie in different splits, as the input itself says which split a photo belongs to. "
            "Accuracy on val and test will look better than it is.",
            serious=True,
        )
    if near["across_species"]:
        yield Finding(
            counted(near["across_species"], "near-duplicate group", "near-duplicate groups") + " with several species",
            "Photos that look the same carry different labels: one of them is probably wrong.",
        )


def _groups(groups: Mapping[str, Any]) -> Iterator[Finding]:
    if groups["by"] and groups["across_splits"]:
        yield Finding(
            counted(groups["across_splits"], "group lies in two splits", "groups lie in two splits"),
            f"Photos of one group by {', '.join(groups['by'])} are in different splits, as the source itself says "
            "which split they belong to. Accuracy on val and test will look better than it is.",
            serious=True,
        )


def _spellings(species: Collection[str]) -> Iterator[Finding]:
    """Finds species whose names differ in case, spaces and the like alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    # "Monarch1, Monarch2, Peacock1": where all have a number, the names may be one. "Pieris sp. 1" has no such name.
    counted_names = all(map(_COUNTER.search, species)) and len({_COUNTER.sub("", name) for name in species}) > 1
    for name in sorted(species):
        # "Monarch (1)" and "Monarch - Copy" are what file managers make of a second Monarch.
        plain = _DOUBT.sub(" ", _COPY.sub("", name)).replace("×", "x")  # noqa: RUF001
        if found := _AUTHOR.fullmatch(plain):
            plain = found[1]
        # "Monarch 2" beside "Monarch" is a copy as well.
        without = _COUNTER.sub("", plain)
        plain = without if counted_names or without in species else plain
        if found := _ABBREVIATED.fullmatch(plain):
            # "P. napi" is that full name which begins so, if there is one.
            full = re.compile(rf"{found[1]}[a-z-]+[\s_]+{found[2]}")
            plain = next((other for other in sorted(species) if full.fullmatch(other)), plain)
        key = "".join(letter for letter in normalize("NFKC", plain).casefold() if letter.isalnum())
        alike[key or name].append(name)
    if variants := [" = ".join(names) for names in alike.values() if len(names) > 1]:
        yield Finding(
            counted(len(variants), "species is spelt in several ways", "species are spelt in several ways"),
            "Each spelling counts as a species; give those that are one species the same name:",
            serious=True,
            names=variants,
            advice="each spelling counts as a species, and so does each copy of a folder: give one species one name",
        )


def _typing_errors(species: Iterable[str]) -> Iterator[Finding]:
    """Finds pairs of names that differ by one letter: "Danaus plexippus" and "Danaus plexipus"."""
    shorter: dict[str, set[str]] = defaultdict(set)
    for name in species:
        folded = name.casefold()
        if len(folded) >= MIN_TYPED:
            for n in range(len(folded)):
                # Numbers and single letters at an end tell classes apart.
                if folded[n].isalpha() and folded[max(0, n - 1) : n + 2].isalpha():
                    shorter[f"{folded[:n]}\0{folded[n + 1 :]}"].add(name)
                    shorter[folded[:n] + folded[n + 1 :]].add(name)
            shorter[folded].add(name)
    if pairs := sorted({" and ".join(sorted(names)) for names in shorter.values() if len(names) == 2}):
        yield Finding(
            counted(len(pairs), "pair of names differs by one letter", "pairs of names differ by one letter"),
            "Each name is a class of its own here; correct its folder or its labels if it is a typing error:",
            names=pairs,
        )


def _subspecies(species: Iterable[str]) -> Iterator[Finding]:
    """Finds species that stand beside their own subspecies or forms: "Danaus plexippus megippe"."""
    known = set(species)
    pairs = [
        f"{name} in {found[1]}"
        for name in sorted(known)
        if (found := _TRINOMIAL.fullmatch(name)) and found[1] in known and found[2] not in ("x", "sp")
    ]
    if pairs:
        yield Finding(
            counted(len(pairs), "subspecies beside its species", "subspecies beside their species"),
            "Each is a class of its own here, though the one includes the other; give them one name if they are one:",
            names=pairs,
        )


def _genera(species: Iterable[str]) -> Iterator[Finding]:
    """Finds genera that stand beside their species: "Vanessa" beside "Vanessa atalanta"."""
    known = set(species)
    pairs = [
        f"{name} in {found[1]}" for name in sorted(known) if (found := _BINOMIAL.fullmatch(name)) and found[1] in known
    ]
    if pairs:
        yield Finding(
            counted(len(pairs), "species beside its genus", "species beside their genus"),
            "Each is a class of its own here, though the one includes the other; photos that are known by their genus "
            "alone can be left out with build.ignore:",
            names=pairs,
        )


def _splits(card: Mapping[str, Any]) -> Iterator[Finding]:
    for split, number in card["splits"].items():
        if not number:
            yield Finding(f"No {split} photos", f"The split {split} is empty.", serious=True)
    if names := card["only_in_train"]:
        yield Finding(
            f"{len(names):,} species only in train",
            "None in val or test, so the accuracy on these species cannot be measured:",
            names=names,
        )
    if untrained := sorted(name for name, row in card["species"].items() if not row["train"]):
        yield Finding(
            f"{len(untrained):,} species without training photos",
            "The classifier cannot learn them:",
            serious=True,
            names=untrained,
        )


def _balance(card: Mapping[str, Any]) -> Iterator[Finding]:
    totals = {name: sum(row.values()) for name, row in card["species"].items()}
    most = max(sorted(totals), key=totals.__getitem__)
    least = min(sorted(totals), key=totals.__getitem__)
    if totals[most] > MAX_IMBALANCE * totals[least]:
        yield Finding(
            f"Strong imbalance, {totals[most] / totals[least]:,.0f} to 1",
            f"{counted(totals[most], 'photo', 'photos')} of {most}, but {totals[least]:,} of {least}. "
            "Look at the balanced accuracy, which counts every species alike.",
        )


def _files(card: Mapping[str, Any]) -> Iterator[Finding]:
    candidates = card["photos"] + card["rejects"]
    if card["rejects"] > MAX_REJECT_SHARE * candidates:
        yield Finding(
            f"{share(card['rejects'], candidates)} of the photos rejected",
            f"{counted(card['rejects'], 'file', 'files')} could not be used; the reasons stand below.",
        )
    if broken := card["colour_profiles"].get("broken", 0):
        yield Finding(
            counted(broken, "colour profile ignored", "colour profiles ignored"),
            "They are damaged, or of another kind of image; the photos were taken for sRGB.",
        )
    if card["missing"]:
        yield Finding(
            counted(card["missing"], "photo missing", "photos missing"),
            "A table names files that are not there.",
        )


def _sizes(photos: Sequence[CardPhoto], image_size: int) -> Iterator[Finding]:
    enlarged = count_enlarged(photos, image_size)
    if enlarged > MAX_ENLARGED_SHARE * len(photos):
        yield Finding(
            f"{share(enlarged, len(photos))} of the photos are smaller than {image_size} pixels",
            f"{counted(enlarged, 'photo was', 'photos were')} enlarged to a short side of {image_size} pixels; "
            f"build.image_size sets it.",
        )
