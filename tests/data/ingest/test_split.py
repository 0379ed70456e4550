from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from butterflyer_jax.data.ingest.split import Candidate, assign_splits

FRACTIONS = {"val": 0.15, "test": 0.15}

candidates = st.lists(
    st.builds(
        Candidate,
        group=st.integers(0, 60).map(str),
        species=st.sampled_from(["a", "b", "c"]),
        given=st.sampled_from([None, None, None, "train", "val", "test"]),
    ),
    max_size=80,
)


def many(count: int, species: str = "a") -> list[Candidate]:
    return [Candidate(f"{species}{number}", species) for number in range(count)]


def test_shares_hold_in_every_species() -> None:
    photos = many(100, "a") + many(40, "b") + many(3, "c")
    counts = Counter(zip((c.species for c in photos), assign_splits(photos, FRACTIONS, "salt"), strict=True))
    assert [counts["a", split] for split in ("train", "val", "test")] == [70, 15, 15]
    assert [counts["b", split] for split in ("train", "val", "test")] == [28, 6, 6]
    assert [counts["c", split] for split in ("train", "val", "test")] == [1, 1, 1]


def test_a_species_with_fewer_photos_than_splits_trains() -> None:
    assert assign_splits(many(2), FRACTIONS, "salt") == ["train", "train"]


def test_a_salt_changes_the_choice_and_nothing_else_does() -> None:
    photos = many(100)
    first = assign_splits(photos, FRACTIONS, "salt")
    assert assign_splits(photos, FRACTIONS, "salt") == first
    assert assign_splits(photos, FRACTIONS, "pepper") != first
    # Adding a species moves nobody.
    assert assign_splits(photos + many(50, "b"), FRACTIONS, "salt")[:100] == first


def test_known_assignment() -> None:
    """A literal: the same on any machine, and in the next version, or runs could not be compared."""
    splits = assign_splits(many(10), FRACTIONS, "butterflyer")
    expected = {1: "test", 5: "val", 6: "test", 7: "val"}
    assert splits == [expected.get(n, "train") for n in range(10)]


@given(candidates, st.randoms(use_true_random=False))
def test_properties(photos: list[Candidate], rng: random.Random) -> None:
    splits = assign_splits(photos, FRACTIONS, "salt")
    assert len(splits) == len(photos)
    by_photo = dict(zip(photos, splits, strict=True))
    for photo, split in by_photo.items():
        if photo.given in ("val", "test"):
            assert split == photo.given
    # One group, one split, unless the zip itself puts copies apart.
    for group in {photo.group for photo in photos}:
        copies = [photo for photo in by_photo if photo.group == group]
        if len({photo.given for photo in copies} - {None}) <= 1:
            assert len({by_photo[photo] for photo in copies}) == 1
    for species in {photo.species for photo in photos}:
        free = {photo.group for photo in photos if photo.species == species and photo.given is None}
        pinned = {photo.group for photo in photos if photo.given}
        shared = {photo.group for photo in photos if photo.species != species}
        if free - pinned - shared and not {photo.given for photo in photos} - {None}:
            assert "train" in {by_photo[photo] for photo in by_photo if photo.species == species}
    shuffled = rng.sample(photos, len(photos))
    assert [by_photo[photo] for photo in shuffled] == assign_splits(shuffled, FRACTIONS, "salt")


def test_copies_follow_the_one_whose_split_the_zip_gives() -> None:
    photos = [Candidate("x", "a", "test"), Candidate("x", "a"), *many(20)]
    assert assign_splits(photos, FRACTIONS, "salt")[:2] == ["test", "test"]


def test_large_shares_leave_a_photo_to_train() -> None:
    assert sorted(assign_splits(many(3), {"val": 0.5, "test": 0.49}, "salt")) == ["test", "train", "val"]


def test_splits_of_the_zip_stand_and_the_missing_one_is_made() -> None:
    photos = [Candidate(f"{n}", "a", "train") for n in range(80)] + [Candidate(f"t{n}", "a", "test") for n in range(20)]
    counts = Counter(assign_splits(photos, FRACTIONS, "salt"))
    assert counts == {"train": 68, "val": 12, "test": 20}
    assert assign_splits(photos, FRACTIONS, "salt")[80:] == ["test"] * 20
