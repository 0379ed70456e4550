from __future__ import annotations

import numpy as np
import pytest

from butterflyer_jax.metrics import classification, slices
from butterflyer_jax.metrics.sums import Sums


def answers(count: int = 40, num_species: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_species, count).astype(np.int32)
    logits = rng.normal(size=(count, num_species)).astype(np.float32)
    logits[np.arange(count), labels] += 1
    return logits, labels


def test_a_slice_has_the_numbers_of_a_split_of_its_photos_alone() -> None:
    logits, labels = answers()
    values = ["phone" if number % 3 else "" for number in range(40)]
    scored = slices.score(logits, labels, {"camera": values})["camera"]
    assert list(scored) == ["phone", slices.NOT_GIVEN]
    inside = np.array([bool(value) for value in values])
    losses = classification.cross_entropies(logits[inside], labels[inside])
    wanted = Sums.of_batch(losses, logits[inside], labels[inside], np.ones(inside.sum())).compute()
    phone = scored["phone"]
    assert phone.pop("intervals") == classification.intervals(logits[inside], labels[inside])
    assert phone == pytest.approx(wanted, rel=1e-6)
    assert phone["count"] + scored[slices.NOT_GIVEN]["count"] == 40


def test_frequent_values_come_first_and_the_rest_together() -> None:
    values = [f"place {number:02}" for number in range(40) for _ in range(40 - number)]
    divided = slices.divide([*values, slices.OTHERS, ""])
    assert list(divided) == [*(f"place {number:02}" for number in range(30)), slices.OTHERS, slices.NOT_GIVEN]
    assert len(divided["place 00"]) == 40
    assert len(divided[slices.OTHERS]) == 1 + sum(range(1, 11)), "with those that are called so"
    assert sorted(np.concatenate(list(divided.values()))) == list(range(len(values) + 2))


def test_many_numbers_are_cut_into_quarters_and_few_are_not() -> None:
    heights = [str(number) for number in np.random.default_rng(0).permutation(100)]
    divided = slices.divide([*heights, ""])
    assert {name: len(places) for name, places in divided.items()} == {
        "0 to 24": 25,
        "25 to 49": 25,
        "50 to 74": 25,
        "75 to 99": 25,
        slices.NOT_GIVEN: 1,
    }
    assert list(slices.divide(["10", "9", "9", "2021"])) == ["9", "10", "2021"]
    # Half of them the same: a quarter is none without the others.
    divided = slices.divide(["0"] * 50 + heights[:50])
    assert len(divided["0"]) >= 50
    assert sum(map(len, divided.values())) == 100
    assert len(slices.divide([*heights, "unknown"])) == 31, "no column of numbers"


def test_a_column_without_a_value_is_not_given() -> None:
    assert list(slices.divide(["", ""])) == [slices.NOT_GIVEN]
