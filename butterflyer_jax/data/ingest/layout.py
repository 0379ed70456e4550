"""What the folders of a collection say of its photographs: species, split, taxonomy, group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from butterflyer_jax.data.ingest import words
from butterflyer_jax.errors import UserError

SHOWN = 4
LEAF, TOP, PATH = "leaf", "top", "path"
NO_SPECIES = "not in a folder of a species, as others are"
# Share of the photographs up to which those beside the folder of all others are strays.
MAX_STRAYS = 0.05
TOO_DEEP = "its folder lies deeper than those of the species"


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders say of one photograph.

    Attributes:
      label: species.
      split: train, val, test or None.
      taxonomy: folders above the species that all photographs' paths have, outermost first.
      group: session, site, specimen or the like; "" for none.
    """

    label: str
    split: str | None = None
    taxonomy: tuple[str, ...] = ()
    group: str = ""


@dataclass
class Folders:
    """The reading of a collection by its folders.

    Attributes:
      places: photographs with a species.
      rejects: the others, and why.
      ignored: photographs that are left out because of what their folder is, and what that is.
      splits: the split that folders give to each photograph, with a species or without.
      problem: why this is no sensible reading; "" where it is one.
      choices: options by which a user may take a reading all the same.
    """

    places: dict[str, Place] = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    choices: str = ""

    @property
    def labels(self) -> set[str]:
        """The species."""
        return {place.label for place in self.places.values()}


@dataclass(frozen=True, slots=True)
class _Path:
    """A photograph's folders, sorted by what they are."""

    names: tuple[str, ...]
    circumstances: tuple[str, ...]
    split: str | None
    clash: bool


def read(photos: Iterable[str], layout: str = "") -> Folders:
    """Reads the folders of photographs.

    Folders that name a split, that hold masks and the like, that are mere containers, or that name circumstances
    (sessions, years, regions) are set apart first, wherever they stand; what is left names the species.

    Args:
      photos: paths in the collection.
      layout: "leaf": the innermost folder is the species; "top": the outermost; "path": all of them in one; "": the one
        that is the only sensible one.

    Returns:
      The reading; with `problem` where there is no sensible one, or more than one.
    """
    result = Folders()
    paths: dict[str, _Path] = {}
    photos = list(photos)
    beside_names = _beside_names(photos)
    # A folder holds many photographs.
    sorted_folders: dict[str, tuple[str, _Path]] = {}
    for photo in photos:
        folder = photo.rpartition("/")[0]
        if folder not in sorted_folders:
            folders = PurePosixPath(photo).parts[:-1]
            mask = next((name for name in folders if words.holds_no_photos(name)), "")
            kept = frozenset(name for n, name in enumerate(folders) if folders[: n + 1] in beside_names)
            sorted_folders[folder] = mask, _sort(folders, kept, bool(layout))
        mask, path = sorted_folders[folder]
        if mask:
            result.ignored[photo] = f"in {mask}/"
        else:
            paths[photo] = path
    if not paths:
        result.problem = "all pictures lie in folders that hold no photographs: " + some(result.ignored.values())
        return result
    result.splits = {photo: path.split for photo, path in paths.items() if path.split and not path.clash}
    _set_apart(paths, result)
    if not layout:
        _without_strays(paths, result)
        _without_odd_depths(paths, result)
    if paths:
        _name_species(paths, layout, result)
    return result


def some(names: Iterable[str], number: int = SHOWN) -> str:
    """Returns the first of some names, and how many more there are."""
    ordered = sorted(dict.fromkeys(names))
    more = f" and {len(ordered) - number:,} more" if len(ordered) > number else ""
    return ", ".join(ordered[:number]) + more


def _beside_names(photos: Iterable[str]) -> set[tuple[str, ...]]:
    """Returns the folders that name circumstances or numbers, but lie beside others that may be species."""
    children: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for one in {photo.rpartition("/")[0] for photo in photos}:
        folders = PurePosixPath(one).parts
        for level, folder in enumerate(folders):
            if not (words.split_of(folder) or words.is_container(folder) or words.holds_no_photos(folder)):
                children[folders[:level]].add(folder)
    found = set()
    for parent, names in children.items():
        certain = {name for name in names if words.circumstance(name) is None and not words.is_identifier(name)}
        if certain:
            found |= {(*parent, name) for name in names - certain}
    return found


def _sort(folders: Sequence[str], kept: frozenset[str], as_they_are: bool) -> _Path:
    splits = {split for folder in folders if (split := words.split_of(folder))}
    rest = [folder for folder in folders if not words.split_of(folder) and not words.is_container(folder)]
    names = [folder for folder in rest if words.circumstance(folder) is None or folder in kept]
    # Below a name, a catalogue number is a specimen's; with nothing above, it may be the species'.
    certain = [
        folder
        for position, folder in enumerate(names)
        if position == 0 or folder in kept or not words.is_identifier(folder)
    ]
    chosen = rest if as_they_are else certain or rest
    return _Path(
        tuple(map(words.plain, chosen)),
        tuple(folder for folder in rest if folder not in chosen),
        next(iter(splits)) if len(splits) == 1 else None,
        len(splits) > 1,
    )


def _set_apart(paths: dict[str, _Path], result: Folders) -> None:
    """Removes photographs without a species: unlabelled ones, and those whose split is not clear."""
    named = any(path.names for path in paths.values())
    train = any(path.split == "train" for path in paths.values())
    with_split = sum(path.split is not None for path in paths.values())
    for photo, path in list(paths.items()):
        if path.clash:
            result.rejects[photo] = "its folders name two splits"
        elif any(words.is_unlabelled(name, path.split == "test") for name in path.names):
            result.ignored[photo] = f"unlabelled in {path.names[-1]}/"
        elif named and not path.names and path.split == "test":
            result.ignored[photo] = "unlabelled in " + "/".join(PurePosixPath(photo).parts[:-1]) + "/"
        elif path.names and not path.split and train and 2 * with_split > len(paths):
            result.rejects[photo] = "not in a folder of a split, as others are"
        else:
            continue
        del paths[photo]


def _without_strays(paths: dict[str, _Path], result: Folders) -> None:
    """Removes a few photographs beside the folder that wraps all others: of a folder of its own, and no species."""
    tops: dict[str, list[str]] = defaultdict(list)
    for photo, path in paths.items():
        if path.names:
            tops[PurePosixPath(photo).parts[0]].append(photo)
    wrappers = [top for top in tops if words.is_container(top) and not words.split_of(top)]
    if len(wrappers) != 1:
        return
    inside = {paths[photo].names for photo in tops[wrappers[0]]}
    outside = [photo for top, photos in tops.items() if top != wrappers[0] for photo in photos]
    if MAX_STRAYS * len(paths) < len(outside):
        return
    for photo in outside:
        if paths[photo].names not in inside:
            result.rejects[photo] = NO_SPECIES
            del paths[photo]


def _without_odd_depths(paths: dict[str, _Path], result: Folders) -> None:
    """Removes photographs whose folders are more or fewer than those of most others."""
    depths = Counter(len(path.names) for path in paths.values())
    if not depths:
        return
    if all(path.names and words.is_binomial(path.names[-1]) for path in paths.values()):
        return
    most = max(depths.values())
    usual = max(depth for depth, number in depths.items() if number == most)
    if usual == 0:
        return
    species = {path.names for path in paths.values() if len(path.names) == usual}
    last = {names[-1] for names in species}
    for photo, path in list(paths.items()):
        if len(path.names) == usual:
            continue
        if len(path.names) > usual and path.names[:usual] in species and not set(path.names[usual:]) & last:
            paths[photo] = _Path(path.names[:usual], path.circumstances, path.split, False)
            continue
        result.rejects[photo] = TOO_DEEP if len(path.names) > usual else NO_SPECIES
        del paths[photo]


def _name_species(paths: dict[str, _Path], layout: str, result: Folders) -> None:
    nameless = [photo for photo, path in paths.items() if not path.names]
    if 2 * len(nameless) > len(paths):
        folders = {"/".join(PurePosixPath(photo).parts[:-1]) + "/" for photo in nameless}
        result.problem = (
            f"the photographs lie in {some(folders)}" if folders != {"/"} else "the photographs lie in no folder"
        )
        result.problem += ", which name no species"
        return
    for photo in nameless:
        result.rejects[photo] = NO_SPECIES
        del paths[photo]
    levels = _levels([path.names for path in paths.values()])
    if layout == TOP:
        chosen: Sequence[int] | None = levels[:1]
    elif layout == PATH:
        chosen = levels
    elif layout == LEAF:
        chosen = None
    else:
        _check_names(paths, levels, result)
        chosen = None if result.problem else _choose_level(paths, levels, result)
        if result.problem:
            return
    has_names = any(words.circumstance(path.names[-1]) is None for path in paths.values())
    for photo, path in paths.items():
        names = path.names
        own = [names[level] for level in chosen if level < len(names)] if chosen is not None else [names[-1]]
        if not layout and has_names and words.circumstance(names[-1]) not in (None, "number"):
            result.rejects[photo] = NO_SPECIES
            continue
        last = (chosen[-1] if chosen is not None else len(names) - 1) if layout != PATH else 0
        taxonomy = tuple(names[level] for level in levels if level < last and level < len(names))
        label = " ".join(own)
        result.places[photo] = Place(label, path.split, taxonomy, _group(path, names[last + 1 :], label))


def _levels(names: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the levels on which folders differ: the others wrap everything; at least one level."""
    depth = min(map(len, names))
    deepest = max(map(len, names))
    differing = [level for level in range(depth) if len({path[level] for path in names}) > 1]
    return differing + list(range(depth, deepest)) or [depth - 1]


def _check_names(paths: dict[str, _Path], levels: Sequence[int], result: Folders) -> None:
    """Notes as a problem where the folders are dates, cameras or places, and no species at all."""
    if len({path.names for path in paths.values()}) == 1:
        below = {" ".join(path.circumstances) for path in paths.values()}
        if len(below) > 1:
            [name] = {path.names[-1] for path in paths.values()}
            result.problem = (
                f"all photographs lie in {name}/, and the folders there ({some(below)}) look like no species"
            )
            result.choices = "build.layout=leaf if they are species"
        return
    leaves = {path.names[-1] for path in paths.values()}
    kinds = {words.circumstance(leaf) for leaf in leaves}
    if len(leaves) > 1 and not kinds & {None, "number"}:
        what = {"time": "dates", "group": "sessions, sites or specimens", "other": "places or views"}
        kinds_in_words = " or ".join(what[kind] for kind in sorted(k for k in kinds if k))
        result.problem = f"the folders {some(leaves)} are {kinds_in_words}, and name no species"
        result.choices = "build.layout=leaf if they do"


def _choose_level(paths: dict[str, _Path], levels: Sequence[int], result: Folders) -> Sequence[int] | None:
    """Returns the level that is the species, None for the innermost; notes a problem where two levels may be it."""
    if len(levels) < 2:
        return levels
    uppers: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for path in paths.values():
        uppers[path.names[-1]].add(path.names[:-1])
    leaves = set(uppers)
    if all(len(above) == 1 for above in uppers.values()) or all(map(words.is_binomial, leaves)):
        return None
    outer = {path.names[levels[0]] for path in paths.values()}
    if all(map(words.is_binomial, outer)):
        return levels[:1]
    result.problem = f"the folders can be read in two ways: species are {some(outer, 3)} or {some(leaves, 3)}"
    result.choices = (
        "build.layout=top takes the outer folder, build.layout=leaf the inner one, build.layout=path both as one name"
    )
    return None


def _group(path: _Path, below: Sequence[str], label: str) -> str:
    """Returns the session, site or specimen that the folders name."""
    parts = [folder for folder in path.circumstances if words.circumstance(folder) == "group"]
    own = [folder for folder in path.circumstances if words.circumstance(folder) in ("number", None)] + list(below)
    if own:
        # Numbers and catalogue numbers are counted anew in each species.
        parts = [label, *parts, *own]
    return "/".join(parts)


def check_option(layout: str) -> None:
    """Raises a UserError for an unknown value of build.layout."""
    if layout not in ("", "table", LEAF, TOP, PATH):
        raise UserError(
            f"build.layout={layout}: there are table, leaf, top and path, or nothing for the only sensible one"
        )
