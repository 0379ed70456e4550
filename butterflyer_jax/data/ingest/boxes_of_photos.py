"""Boxes of all photos of a build together: kept, or dropped where too many cannot be right."""

from __future__ import annotations

import dataclasses
from collections import Counter

from butterflyer_jax.data.ingest.photo_tasks import OUTSIDE, Prepared

# Share of boxes outside of their photo from which on they are taken for numbers of another meaning.
MAX_BOXES_OUTSIDE = 0.05


def settle(photos: tuple[Prepared, ...]) -> tuple[tuple[Prepared, ...], list[str]]:
    """Returns the photos, without boxes where too many of these cannot be right, and notes for the user."""
    bad = [photo for photo in photos if photo.box_problem]
    good = sum(photo.box is not None for photo in photos)
    if not good and not bad:
        return photos, []
    outside = [photo for photo in bad if photo.box_problem == OUTSIDE]
    if len(outside) > MAX_BOXES_OUTSIDE * (good + len(bad)):
        photos = tuple(dataclasses.replace(photo, box=None) for photo in photos)
        return photos, [
            f"boxes are not used: {len(outside):,} of {good + len(bad):,} lie outside of their photo, such as that of "
            f"{outside[0].photo_id}; they may be of another format (build.box_format) or of larger photos"
        ]
    notes = [f"boxes: {good:,} of {len(photos):,} photos say where the butterfly is; data.boxes=ignore leaves them out"]
    for reason, number in Counter(photo.box_problem for photo in bad).items():
        example = next(photo.photo_id for photo in bad if photo.box_problem == reason)
        notes.append(f"boxes not used: {number:,} like that of {example}, which {reason}")
    return photos, notes
