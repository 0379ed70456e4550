"""Doubtful labels of tables: those that name no species, and those that differ by a sex, a stage or a date alone."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence

from butterflyer_jax.data.ingest import higher_taxa, inventory, words
from butterflyer_jax.data.ingest.folders import additions, file_names
from butterflyer_jax.data.ingest.folders.reading import pattern, some
from butterflyer_jax.errors import UserError

# Number of photos that are named in an option.
SHOWN_PHOTOS = 5


def check(labels: Mapping[str, str], source: str, settled: Sequence[str]) -> None:
    """Raises a UserError where labels may be no classes of their own.

    Args:
      labels: label of each photo.
      source: origin of the labels, for messages.
      settled: patterns of labels for which the user has chosen.
    """
    check_unknown(labels, source, settled)
    if wrong := file_names.other_species(labels):
        raise UserError(
            f"{wrong} by {source}; build.layout=table takes the table, build.layout=name takes the names of the photos"
        )
    note, patterns = file_names.specimen_labels(labels)
    if note:
        raise UserError(f"{note}: build.ignore={patterns} leaves them out, build.layout=table takes them")
    if several := additions.alike(set(labels.values())):
        raise UserError(
            f"the labels {some(several[0])} in {source} differ only by what is no part of the name of a species, and "
            "may be one species or several classes: build.layout=table takes each as a class; for one species, give "
            "them one name"
        )


def check_unknown(labels: Mapping[str, str], source: str, settled: Sequence[str]) -> None:
    """Raises a UserError where labels such as "unknown" or a genus may be a class or no species; see `check`."""
    above = higher_taxa.among(set(labels.values()))
    unsure: dict[str, list[str]] = defaultdict(list)
    for photo, label in sorted(labels.items()):
        unknown = words.is_unsure(label) or words.is_unlabelled(label, in_test=True) or label in above
        if unknown and not inventory.fits(label, settled):
            unsure[label].append(photo)
    if not unsure:
        return
    names = [photo for photos in unsure.values() for photo in photos]
    inside = {posixpath.dirname(name) for name in names}
    beside = {posixpath.dirname(name) for name in labels.keys() - names}
    patterns = [pattern(name)[:-2] for name in names] if inside & beside else [*map(pattern, sorted(inside))]
    if len(patterns) > SHOWN_PHOTOS:
        patterns = [inventory.OF_LABELS + pattern(label)[:-2] for label in unsure]
    listed = ",".join(patterns)
    raise UserError(
        f"the label {some(map(repr, unsure))} in {source} (photos: {len(names):,}, such as {min(names)}) may be "
        "a class beside the species, or mean that the species is not known: build.layout=table takes it as a class, "
        f"build.ignore={listed} leaves these photos out, build.negatives={listed} takes them as photos that show no "
        "species"
    )
