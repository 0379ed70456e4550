"""Folds of a data set: equal parts with whole groups, and about the same number of photos of each species."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from jaxtyping import Int64, Shaped

from butterflyer_jax.errors import UserError


def assign(
    photo_ids: Sequence[str], labels: Sequence[str], groups: Mapping[str, str], num_folds: int
) -> Int64[np.ndarray, " count"]:
    """Returns the fold of each photo, int64 [count] from 0 to num_folds - 1.

    Of each species the groups, largest first and then in the order of a hash of their names, go one after another to
    the fold with the fewest photos of that species: the same folds on any machine and in any order.

    Args:
      photo_ids: names of the photos.
      labels: species of each.
      groups: group of each photo that shares one with others; a group is never divided.
      num_folds: number of folds.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(photo_ids):
        members[f"group {groups[name]}" if name in groups else f"photo {name}"].append(number)
    # The same name of a group in any order of the photos.
    names = {group: min(photo_ids[number] for number in numbers) for group, numbers in members.items()}
    of_species: dict[str, list[str]] = defaultdict(list)
    for group, numbers in members.items():
        # One under several labels counts as of its most frequent one.
        counts = Counter(labels[number] for number in numbers)
        of_species[min(counts, key=lambda label: (-counts[label], label))].append(group)
    folds = np.zeros(len(photo_ids), np.int64)
    in_all = [0] * num_folds
    for species in sorted(of_species):
        sizes = [0] * num_folds
        for group in sorted(of_species[species], key=lambda group: (-len(members[group]), _rank(names[group]))):
            fold = min(range(num_folds), key=lambda fold: (sizes[fold], in_all[fold], fold))
            folds[members[group]] = fold
            sizes[fold] += len(members[group])
            in_all[fold] += len(members[group])
    return folds


def splits(
    photo_ids: Sequence[str], labels: Sequence[str], groups: Mapping[str, str], num_folds: int, fold: int
) -> Shaped[np.ndarray, " count"]:
    """Returns the split of each photo, str [count]: the fold itself is test, the next one val, all others train.

    Args:
      photo_ids, labels, groups, num_folds: the same as in `assign`.
      fold: number of the fold that is tested, 1 to num_folds.

    Raises:
      UserError: there are fewer groups than folds, so that some would be empty.
    """
    assigned = assign(photo_ids, labels, groups, num_folds)
    filled = len(np.unique(assigned))
    if filled < num_folds:
        raise UserError(
            f"{num_folds} folds of {len(photo_ids):,} photos leave {num_folds - filled} empty, as groups are never "
            f"divided: take {filled} folds at most"
        )
    places = (assigned - (fold - 1)) % num_folds
    return np.where(places == 0, "test", np.where(places == 1, "val", "train"))


def _rank(name: str) -> bytes:
    return sha256(f"folds/{name}".encode("utf-8", "surrogatepass")).digest()
