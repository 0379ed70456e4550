"""Findings that a build puts on its console."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from butterflyer_jax.report import findings, summary

SPLITS = {"train": 27, "val": 0, "test": 0}
CARD: dict[str, Any] = {
    "photos": 40, "rejects": 9, "missing": 1, "ignored": 0, "colour_profiles": {"broken": 1}, "labels_by": "folders",
    "reject_reasons": {}, "notes": [], "only_in_train": ["Peacock"], "splits": SPLITS, "build": {"image_size": 32},
    "species": {"Monarch": {"train": 0, "val": 1, "test": 0}, "Peacock": {"train": 99, "val": 0, "test": 0}},
    "near_duplicates": {"groups": 2, "across_splits": 2, "across_species": 2},
    "groups": {"by": ["site"], "groups": 2, "photos": 9, "across_splits": 1},
}  # fmt: skip


@pytest.mark.parametrize("copy", ["Monarch - Kopie", "Monarch - Copy (2)", "Monarch (1)", "Copy of Monarch", "monarch"])
def test_copies_of_folders_are_said_first_with_what_to_do(copy: str) -> None:
    card = CARD | {"species": CARD["species"] | {copy: {"train": 9, "val": 0, "test": 0}}}
    card["findings"] = [dataclasses.asdict(finding) for finding in findings.find(card, [])]
    [shown] = [line for line in summary.lines(card, "out") if line.startswith("look at: ")]
    assert shown.startswith(f"look at: 1 species is spelt in several ways ({' = '.join(sorted(['Monarch', copy]))}): ")
    assert "each spelling counts as a species" in shown and "give one species one name" in shown


@pytest.mark.parametrize(
    ("names", "title", "shown"),
    [
        (["Pieris napi", "Pieris napi (Linnaeus, 1758)"], "1 species is spelt in several ways", "Pieris napi = "),
        (["Pieris napi", "Pieris napi L."], "1 species is spelt in several ways", "Pieris napi = Pieris napi L."),
        (["Monarch", "Monarch 2"], "1 species is spelt in several ways", "Monarch = Monarch 2"),
        (["Pieris napi", "P. napi"], "1 species is spelt in several ways", "P. napi = Pieris napi"),
        (["Pieris napi", "Pieris cf. napi"], "1 species is spelt in several ways", "Pieris cf. napi = Pieris napi"),
        (["Pieris napi", "Pieris napi meridionalis"], "1 subspecies beside its species", "meridionalis in Pieris napi"),
        (["Pieris napi", "Pieris", "Small", "Small Blue"], "1 species beside its genus", "Pieris napi in Pieris"),
        (["Monarch", "Ｍonarch"], "1 species is spelt in several ways", "Monarch = Ｍonarch"),  # noqa: RUF001
        (["Pieris napi x rapae", "Pieris napi × rapae"], "1 species is spelt in several ways", "rapae = "),  # noqa: RUF001
        (["Pieris napi", "Pieris napi x rapae", "Pieris sp.", "Pieris rapae", "Small White", "Small Blue"], "", ""),
    ],
)
def test_names_that_may_be_one_species(names: list[str], title: str, shown: str) -> None:
    card = CARD | {"species": {name: {"train": 9, "val": 1, "test": 1} for name in names}}
    found = {finding.title: finding.names for finding in findings.find(card, [])}
    kinds = [key for key in found if "spelt" in key or "species beside" in key]
    assert kinds == ([title] if title else [])
    assert not title or shown in found[title][0]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["Danaus plexippus", "Danaus plexipus", "Aglais io"], ["Danaus plexippus and Danaus plexipus"]),
        (["Vanessa atalanta", "Vanessa atalamta"], ["Vanessa atalamta and Vanessa atalanta"]),
        (["Small Blue", "Small Blues"], ["Small Blue and Small Blues"]),
        (["species_01", "species_02", "Pieris sp. 1", "Pieris sp. 2", "Species A", "Species B", "Map", "Mop"], []),
    ],
)
def test_names_that_differ_by_one_letter(names: list[str], pairs: list[str]) -> None:
    card = CARD | {"species": {name: {"train": 9, "val": 1, "test": 1} for name in names}}
    found = {finding.title: finding.names for finding in findings.find(card, [])}
    assert [name for title, shown in found.items() if "one letter" in title for name in shown] == pairs


@pytest.mark.parametrize(
    ("splits", "given", "said"),
    [
        ((8, 2, 2), (0, 0, 0), "made by a hash of the photos"),
        ((8, 2, 2), (8, 2, 2), "train, val and test by the column"),
        ((8, 2, 2), (8, 2, 0), "train and val by the column, test made of train by a hash of the photos"),
        ((8, 2, 2), (0, 2, 0), "val by the column, train and test made of the rest by a hash of the photos"),
        ((10, 0, 2), (0, 0, 2), "test by the column, train made of the rest by a hash of the photos"),
        ((12, 0, 0), (12, 0, 0), "train by the column"),
    ],
)
def test_the_origin_of_each_split(splits: tuple[int, ...], given: tuple[int, ...], said: str) -> None:
    card = CARD | {"splits": dict(zip(SPLITS, splits, strict=True))}
    card["given_splits"] = {"by": ["the column"], **dict(zip(SPLITS, given, strict=True))}
    assert summary.origin_of_splits(card) == said
