"""Thresholds of ranks, and the lowest rank that is sure enough."""

from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.metrics import ranks
from butterflyer_jax.metrics.ranks import Rank, Ranks

SPECIES = ("Painted Lady", "Red Admiral", "Monarch", "Cabbage White")
GENUS = ("Vanessa", "Vanessa", "Danaus", "Pieris")
FAMILY = ("Nymphalidae", "Nymphalidae", "Nymphalidae", "Pieridae")


def made(**thresholds: float | None) -> Ranks:
    taxa = {"species": SPECIES, "genus": GENUS, "family": FAMILY}
    return Ranks(tuple(Rank(name, taxa[name], of_rank) for name, of_rank in thresholds.items()), 0.95, 100, 7)


def answers(found: Ranks, *rows: list[float], refused: bool = False, listed: list[bool] | None = None) -> list[tuple]:
    mask = None if listed is None else np.array(listed)
    given = found.answer(np.array(rows), np.full(len(rows), refused), mask)
    return [(one.rank, one.taxon, round(one.probability, 3), one.species) for one in given]


def test_the_lowest_rank_that_is_sure_enough_answers() -> None:
    found = made(species=0.8, genus=0.8, family=0.9)
    assert answers(found, [0.85, 0.05, 0.05, 0.05], [0.5, 0.4, 0.05, 0.05], [0.3, 0.25, 0.4, 0.05]) == [
        ("species", "Painted Lady", 0.85, "Painted Lady"),
        ("genus", "Vanessa", 0.9, "Painted Lady"),
        ("family", "Nymphalidae", 0.95, "Monarch"),
    ]
    assert answers(found, [0.3, 0.25, 0.25, 0.2]) == [("", "", 0.0, "Painted Lady")]


def test_the_species_named_with_a_taxon_is_one_of_it() -> None:
    # The white is the most probable species, but the brush-footed butterflies together are more so.
    [(rank, taxon, _, species)] = answers(made(species=0.8, family=0.6), [0.25, 0.2, 0.2, 0.35])
    assert (rank, taxon, species) == ("family", "Nymphalidae", "Painted Lady")


def test_a_refused_image_has_no_answer() -> None:
    assert answers(made(species=0.8), [1.0, 0, 0, 0], refused=True) == [("", "", 0.0, "Painted Lady")]


def test_a_taxon_of_one_species_says_no_more_than_the_species() -> None:
    assert answers(made(species=None, genus=0.5), [0.05, 0.05, 0.9, 0])[0][0] == ""
    # So does one of all the species that can occur.
    found = made(species=0.8, family=0.8)
    assert answers(found, [0.5, 0.3, 0.2, 0])[0][0] == "family"
    assert answers(found, [0.5, 0.3, 0.2, 0], listed=[True, True, True, False])[0][0] == ""
    assert answers(found, [0.5, 0.3, 0.0, 0.2], listed=[True, True, False, True])[0][0] == "family"


def validation(count: int, share_right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities of two pairs of species, and labels: the pair is right, the species now and then not."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    sure = rng.uniform(0.5, 1, count)
    is_right = rng.random(count) < np.where(sure > 0.75, 1.0, share_right)
    named = np.where(is_right, labels, labels ^ 1)
    probabilities = np.zeros((count, 4))
    probabilities[np.arange(count), named] = sure
    probabilities[np.arange(count), named ^ 1] = 1 - sure
    return probabilities, labels


def test_thresholds_reach_the_precision_on_other_images() -> None:
    pairs = {"genus": ("A", "A", "B", "B")}
    probabilities, labels = validation(2000, 0.5)
    found = ranks.fit(probabilities, labels, SPECIES, pairs, 0.95, 7)
    species, genus = found.ranks
    # Errors lie below 0.75 alone; a name with less than 0.8 is none all the same.
    assert species.threshold == genus.threshold == 0.8
    assert (found.count, found.step, found.precision) == (2000, 7, 0.95)
    others, own = validation(2000, 0.5, seed=1)
    given = found.answer(others, np.zeros(2000, bool))
    assert {one.rank for one in given} == {"species", "genus"}
    for rank, taxa in (("species", SPECIES), ("genus", pairs["genus"])):
        right = [one.taxon == taxa[label] for one, label in zip(given, own, strict=True) if one.rank == rank]
        assert len(right) > 500 and np.mean(right) >= 0.95


def test_a_threshold_rises_above_the_errors() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.8, 1, 1000)
    labels = np.where(rng.random(1000) < np.where(sure > 0.9, 1.0, 0.6), 0, 2)
    probabilities = np.stack([sure, np.zeros(1000), 1 - sure, np.zeros(1000)], 1)
    found = ranks.fit(probabilities, labels, SPECIES, {"genus": GENUS}, 0.95, 0)
    above = sure >= found.ranks[0].threshold
    assert 0.8 < found.ranks[0].threshold <= 0.9
    assert (labels[above] == 0).mean() >= 0.95


def test_easy_images_do_not_hide_the_errors_of_a_rank() -> None:
    # A thousand images are named rightly by their species; of a hundred others half have another genus.
    rng = np.random.default_rng(0)
    easy = np.tile([1.0, 0, 0, 0], (1000, 1))
    hard = np.tile([0.5, 0.4, 0.1, 0], (100, 1))
    labels = np.concatenate([np.zeros(1000, int), np.where(rng.random(100) < 0.5, 1, 2)])
    found = ranks.fit(np.concatenate([easy, hard]), labels, SPECIES, {"genus": GENUS}, 0.95, 0)
    assert found.ranks[0].threshold == 0.8
    [answer] = found.answer(hard[:1], np.zeros(1, bool))
    assert answer.rank == ""


def test_too_few_or_too_wrong_images_give_no_threshold() -> None:
    few = np.tile([1.0, 0, 0, 0], (5, 1))
    assert ranks.fit(few, np.zeros(5, int), SPECIES, {"genus": GENUS}, 0.95, 0).ranks[0].threshold is None
    many = np.tile([1.0, 0, 0, 0], (100, 1))
    assert ranks.fit(many, np.full(100, 3), SPECIES, {"genus": GENUS}, 0.95, 0).ranks[0].threshold is None


def test_the_file_gives_back_what_was_written() -> None:
    found = made(species=0.8, genus=None, family=0.85)
    assert Ranks.from_json(found.to_json()) == found
    for text in ("{}", "[]", '{"ranks": [{"name": 1}]}'):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Ranks.from_json(text)
