"""Assignment of photos to splits by a hash of their content, independent of machine and order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from butterflyer_jax.data.ingest.words import SPLITS

__all__ = ["SPLITS", "Candidate", "assign_splits"]


@dataclass(frozen=True)
class Candidate:
    """The properties on which the split of a photo depends.

    Attributes:
      group: hash of its content, or of the first of its near-duplicates; photos of one group share a split, unless the
        zip itself separates them.
      species: species of the photo; the splits are stratified by it.
      given: split given by the zip, or None.
    """

    group: str
    species: str
    given: str | None = None


def assign_splits(candidates: Sequence[Candidate], fractions: dict[str, float], salt: str) -> list[str]:
    """Returns "train", "val" or "test" for each candidate.

    Splits given by the zip are kept, and extend to copies without one; a split that the zip lacks is taken
    from the training photos. In each species the groups are ranked by a salted hash of their content, and each split
    takes its share of the photos, rounded to whole groups, but at least one group and never the last. A species
    with fewer groups than splits goes to train.

    Args:
      candidates: photos in any order.
      fractions: fraction of each species for "val" and "test".
      salt: seed of the assignment.
    """
    given = {candidate.given for candidate in candidates} - {None}
    wanted = {split: share for split, share in fractions.items() if share > 0 and split not in given}
    # Where the zip itself separates copies, one without a split goes to test, independent of the order.
    pinned = {c.group: split for split in ("val", "test") for c in candidates if c.given == split}
    sizes = Counter(c.group for c in candidates)
    chosen: dict[str, str] = {}
    groups_of_species: dict[str, set[str]] = defaultdict(set)
    for candidate in candidates:
        if candidate.given in (None, "train") and candidate.group not in pinned:
            groups_of_species[candidate.species].add(candidate.group)

    # A group with two labels is ranked under the first, so it still goes to one split.
    for species in sorted(groups_of_species):
        groups = sorted(groups_of_species[species] - chosen.keys(), key=lambda g: _rank(salt, g))
        num_photos = sum(sizes[group] for group in groups)
        left = groups
        for position, (split, share) in enumerate(wanted.items()):
            if len(groups) <= len(wanted):
                break
            most = len(left) - (len(wanted) - position)
            taken = _take(left, sizes, num_photos * share)[:most]
            chosen |= dict.fromkeys(taken, split)
            left = [group for group in left if group not in chosen]
        chosen |= dict.fromkeys(left, "train")

    return [(c.given or pinned[c.group]) if c.group in pinned else chosen[c.group] for c in candidates]


def _rank(salt: str, group: str) -> bytes:
    return sha256(f"{salt}/{group}".encode()).digest()


def _take(groups: Sequence[str], sizes: Counter[str], target: float) -> list[str]:
    """Returns the first groups with about `target` photos in total; skips groups that are too large."""
    taken, count = [], 0
    for group in groups:
        # Rounded: a group is taken if at least half of it fits.
        if count + sizes[group] / 2 <= target:
            taken.append(group)
            count += sizes[group]
    return taken or [min(groups, key=lambda group: sizes[group])]
