"""Groups of photos that share a split: one specimen, observation, site, session or camera burst."""

from __future__ import annotations

import datetime
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import copies, words
from butterflyer_jax.data.ingest.photo_tasks import Prepared

# Largest gap between frames of one camera in a burst, seconds.
BURST_SECONDS = 10
# More numbered photos than this under one stem are a film, not an observation.
MAX_STEM_PHOTOS = 20
MIN_GROUPS = 3
COPIES = "versions of a photo"
# Kinds of groups that may be too coarse for splits; the user can still choose them.
_COARSE = frozenset(
    words.listed(
        "site siteid location locationid locality plot plotid transect transectid trap trapid station stationid"
    )
) | {"cameraid", "folders", "exif"}
_NUMBERED = re.compile(r"(.*?)[\s_.(-]+\d{1,3}\)?")

Key = tuple[str, Hashable]


@dataclass
class Groups:
    """Groups of photos that must share a split.

    Attributes:
      names: group of each photo, named by the smallest content hash in it, so independent of the order.
      by: kinds of groups that were used.
      notes: what a user should know.
    """

    names: list[str]
    by: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def join(
    photos: Sequence[Prepared], near: Sequence[int], given: Mapping[str, Sequence[tuple[str, str]]], bursts: str,
    chosen: bool,
) -> Groups:  # fmt: skip
    """Joins photos that are near-duplicates or belong to one group by a table, folders, EXIF or names.

    A kind of group so coarse that most species could not be split is left out, with a note.

    Args:
      photos: prepared photos, sorted by photo_id.
      near: number of each photo's group of near-duplicates.
      given: (kind, value) of each group of a photo, by photo_id.
      bursts: value of build.bursts.
      chosen: whether the user named the columns, which are then never left out.
    """
    kinds: dict[str, list[Key | None]] = {}
    for position, photo in enumerate(photos):
        for by, value in given.get(photo.photo_id, ()):
            kinds.setdefault(by, [None] * len(photos))[position] = (by, value)
    of_copies = copies.keys([photo.photo_id for photo in photos], [photo.species for photo in photos])
    kinds[COPIES] = [(COPIES, key) if key else None for key in of_copies]
    if bursts != "none":
        kinds["exif"] = _bursts(photos)
    stems = _stems(photos)
    if bursts == "name":
        kinds["names"] = stems
    keys: list[list[Key | None]] = [[("near", number) for number in near]]
    result = Groups([])
    for by, values in kinds.items():
        together = Counter(value for value in values if value is not None)
        if max(together.values(), default=0) < 2:
            continue
        coarse = not chosen and words.squeeze(by) in _COARSE
        if coarse and _is_too_coarse(photos, _components(keys), _components([*keys, values])):
            what = "by camera and time" if by == "exif" else f"of one {'folder' if by == 'folders' else by}"
            advice = "" if by in ("exif", "folders") else f"; build.group_column={by} keeps them together"
            result.notes.append(
                f"photos {what} form too few groups to split most species ({len(together)}), so they may lie in "
                f"several splits{advice}"
            )
            continue
        keys.append(values)
        result.by.append({"exif": "camera and time (EXIF)", "names": "numbered names"}.get(by, by))
    components = _components(keys)
    if COPIES in result.by:
        one = next(position for position, key in enumerate(of_copies) if key)
        other = next(position for position in range(one + 1, len(photos)) if of_copies[position] == of_copies[one])
        result.notes.append(
            f"{sum(map(bool, of_copies)):,} photos look like sizes, edited or augmented versions of others by their "
            f"names, as {photos[one].photo_id} and {photos[other].photo_id}: the versions of a photo share a split"
        )
    first: dict[int, str] = {}
    for component, photo in zip(components, photos, strict=True):
        first[component] = min(first.get(component, photo.content_hash), photo.content_hash)
    result.names = [first[component] for component in components]
    if bursts != "name" and (offer := _offer(photos, components, stems)):
        result.notes.append(offer)
    return result


def _components(keys: Sequence[Sequence[Key | None]]) -> list[int]:
    """Returns the first photo of each photo's connected component."""
    parents = list(range(len(keys[0])))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    for column in keys:
        first: dict[Key, int] = {}
        for position, key in enumerate(column):
            if key is not None:
                one, other = root(first.setdefault(key, position)), root(position)
                parents[max(one, other)] = min(one, other)
    return [root(position) for position in range(len(parents))]


def _is_too_coarse(photos: Sequence[Prepared], before: Sequence[int], after: Sequence[int]) -> bool:
    """Returns whether most species that could be split before no longer can."""
    groups: dict[str, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for photo, one, other in zip(photos, before, after, strict=True):
        groups[photo.species][0].add(one)
        groups[photo.species][1].add(other)
    could = [after_count for one, other in groups.values() if len(one) >= MIN_GROUPS and (after_count := len(other))]
    return bool(could) and 2 * sum(count < MIN_GROUPS for count in could) > len(could)


def _bursts(photos: Sequence[Prepared]) -> list[Key | None]:
    """Returns for each photo of a burst the position of the first frame; None for other photos."""
    keys: list[Key | None] = [None] * len(photos)
    shots: dict[tuple[str, str], list[tuple[datetime.datetime, int]]] = defaultdict(list)
    for position, photo in enumerate(photos):
        camera, _, time = photo.captured.rpartition("|")
        if time:
            moment = datetime.datetime.fromisoformat(time.partition(".")[0])
            shots[photo.species, camera].append((moment, position))
    for frames in shots.values():
        frames.sort()
        start = frames[0][1]
        for (before, _), (now, position) in zip([frames[0], *frames], frames, strict=False):
            if (now - before).total_seconds() > BURST_SECONDS:
                start = position
            keys[position] = ("exif", start)
    return keys


def _stems(photos: Sequence[Prepared]) -> list[Key | None]:
    """Returns for each photo with a numbered name its folder and the name without the number; None for others."""
    keys: list[Key | None] = []
    for photo in photos:
        # As text: pathlib takes ten times as long.
        folder, name = posixpath.split(photo.photo_id)
        found = _NUMBERED.fullmatch(posixpath.splitext(name)[0])
        keys.append(("names", (folder, found[1])) if found and found[1] else None)
    return keys


def _offer(photos: Sequence[Prepared], components: Sequence[int], stems: Sequence[Key | None]) -> str:
    """Returns a note where numbered names look like observations that are not grouped yet; else ""."""
    members: dict[Key, set[int]] = defaultdict(set)
    sizes = Counter(key for key in stems if key is not None)
    species: dict[str, set[Key]] = defaultdict(set)
    for photo, component, key in zip(photos, components, stems, strict=True):
        if key is not None:
            members[key].add(component)
            species[photo.species].add(key)
    several = {key for key, size in sizes.items() if 2 <= size <= MAX_STEM_PHOTOS}
    apart = [key for key in several if len(members[key]) > 1]
    enough = sum(len(keys & several) >= MIN_GROUPS for keys in species.values())
    if (
        2 * sum(sizes[key] for key in several) < len(photos)
        or 2 * enough < len({p.species for p in photos})
        or not apart
    ):
        return ""
    example = next(photo.photo_id for photo, key in zip(photos, stems, strict=True) if key == apart[0])
    return (
        f"names such as {PurePosixPath(example).name} look like {len(several):,} series of one observation each: "
        "build.bursts=name keeps each series in one split"
    )
