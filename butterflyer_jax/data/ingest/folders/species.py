"""Choice of the folder level that names the species: the innermost, unless its names repeat under several others."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders import circumstances, file_names
from butterflyer_jax.data.ingest.folders.reading import LEAF, NAME, PATH, TOP, FolderPath, Folders, Place, some
from butterflyer_jax.data.ingest.folders.strays import NO_SPECIES, why_no_species

# Of a species: "ssp. gorganus".
_BELOW_SPECIES = re.compile(r"(?:ssp|subsp|subspecies|var|forma|morph)\b[\s_.]*[a-z]", re.IGNORECASE)


def name_species(paths: dict[str, FolderPath], layout: str, result: Folders) -> None:
    """Sets the label of each photo or rejects it; records a problem where the species are not clear.

    Args:
      paths: folder paths of the photos; changed in place.
      layout: LEAF, TOP, PATH or NAME, the user's choice; "" for the only sensible one.
      result: receives places, rejects and the problem.
    """
    if layout == NAME:
        for photo, path in paths.items():
            if label := file_names.label_of(photo):
                result.places[photo] = Place(label, path.split)
            else:
                result.rejects[photo] = "its file name has no species, only numbers"
        return
    nameless = [photo for photo, path in paths.items() if not path.names]
    if 2 * len(nameless) > len(paths):
        folders = {paths[photo].shown for photo in nameless}
        result.problem = (
            f"the photos lie in {some(folders)}, which name no species"
            if folders != {"/"}
            else "the photos lie in no folder, so none names their species"
        )
        innermost = [paths[photo].folders[-1] for photo in nameless if paths[photo].folders]
        if len(folders) > 1 and len(innermost) == len(nameless) and not all(map(words.split_of, innermost)):
            result.choices = "build.layout=leaf takes them as species"
        if labels := file_names.likely_labels(paths):
            result.problem += f", but their file names may: {some(labels)}"
            result.choices = "build.layout=name takes those"
        elif numbers := file_names.leading_numbers(paths):
            result.problem += f", but their file names begin with {some(numbers)}, which may number the species"
        return
    # In a split, what wraps the species of others is none: ILSVRC/Data/CLS-LOC/val/1.jpg beside …/train/n01443537/.
    above = {path.names[:level] for path in paths.values() if path.split for level in range(1, len(path.names))}
    bare = [photo for photo, path in paths.items() if path.names in above and words.split_of(path.folders[-1])]
    for photo in [*nameless, *(bare if layout == LEAF else ())]:
        result.rejects[photo] = why_no_species(dataclasses.replace(paths[photo], names=()))
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
    parts: dict[str, Sequence[str]] = {
        photo: path.names[-1:] if chosen is None else [path.names[n] for n in chosen if n < len(path.names)]
        for photo, path in paths.items()
    }
    has_names = any(circumstances.kind_of(own[-1]) is None for own in parts.values())
    # A number that lies below names elsewhere is not a species.
    below = {part for photo, path in paths.items() if not parts[photo][-1].isdigit() for part in path.circumstances}
    for photo, path in paths.items():
        names, own = path.names, parts[photo]
        kind = circumstances.kind_of(own[-1])
        if not layout and has_names and (kind not in (None, "number") or own[-1] in below):
            result.rejects[photo] = why_no_species(path) if len(path.folders) == 1 else NO_SPECIES
            continue
        last = (chosen[-1] if chosen is not None else len(names) - 1) if layout != PATH else 0
        taxonomy = tuple(names[level] for level in levels if level < last and level < len(names))
        label = " ".join(own)
        result.places[photo] = Place(label, path.split, taxonomy, _group(path, names[last + 1 :], label))


def _levels(names: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the levels on which folders differ, at least one; the other levels wrap everything."""
    depth = min(map(len, names))
    deepest = max(map(len, names))
    differing = [level for level in range(depth) if len({path[level] for path in names}) > 1]
    return differing + list(range(depth, deepest)) or [depth - 1]


def _check_names(paths: dict[str, FolderPath], levels: Sequence[int], result: Folders) -> None:
    """Records a problem where the folders are dates, cameras or places, and none is a species."""
    if len({path.names for path in paths.values()}) == 1:
        below = {" ".join(path.circumstances) for path in paths.values()}
        if len(below) > 1:
            [name] = {path.names[-1] for path in paths.values()}
            result.problem = f"all photos lie in {name}/, and the folders there ({some(below)}) look like no species"
            result.choices = "build.layout=leaf takes them as species"
        return
    leaves = {path.names[level] for path in paths.values() for level in levels if level < len(path.names)}
    kinds = {circumstances.kind_of(leaf) for leaf in leaves}
    if len(leaves) > 1 and not kinds & {None, "number"}:
        what = {"time": "dates", "group": "sessions, sites or specimens", "other": "places or views"}
        kinds_in_words = " or ".join(what[kind] for kind in sorted(k for k in kinds if k))
        result.problem = f"the folders {some(leaves)} are {kinds_in_words}, and name no species"
        result.choices = "build.layout=leaf takes them as species"


def _choose_level(paths: dict[str, FolderPath], levels: Sequence[int], result: Folders) -> Sequence[int] | None:
    """Returns the species level, None for the innermost; records a problem where two levels are possible."""
    if len(levels) < 2:
        return levels
    uppers: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for path in paths.values():
        uppers[path.names[-1]].add(path.names[:-1])
    leaves = set(uppers)
    outer = {path.names[levels[0]] for path in paths.values()}
    latin_leaves, latin_outer = words.are_binomials(leaves), words.are_binomials(outer)
    below = [leaf for leaf in leaves if _BELOW_SPECIES.match(leaf)]
    if all(len(above) == 1 for above in uppers.values()) and not below:
        if not latin_leaves and not all(map(words.is_rank, outer)):
            result.notes.append(
                f"the innermost folders are the species ({some(leaves, 3)}), those above them their taxonomy; "
                "build.layout=top takes the outer ones as the species"
            )
        return None
    if latin_leaves and not latin_outer:
        result.notes.append(
            f"the folders above the species ({some(outer - leaves, 3)}) are not used: they may be places or people; if "
            "they are splits, name them train, val and test"
        )
        return None
    if latin_outer and not latin_leaves:
        if below:
            result.notes.append(
                f"the folders below the species ({some(below, 3)}) are not used; build.layout=path takes each as a "
                "class"
            )
        return levels[:1]
    result.problem = f"the folders can be read in two ways: species are {some(outer, 3)} or {some(leaves, 3)}"
    result.choices = (
        "build.layout=top takes the outer folder, build.layout=leaf the inner one, build.layout=path both as one name"
    )
    return None


def _group(path: FolderPath, below: Sequence[str], label: str) -> str:
    """Returns the session, site or specimen named by the folders, "" for none."""
    parts = [folder for folder in path.circumstances if circumstances.kind_of(folder) == "group"]
    own = [folder for folder in path.circumstances if circumstances.kind_of(folder) in ("number", None)] + list(below)
    if own:
        # Numbers and catalogue numbers restart in each species.
        parts = [label, *parts, *own]
    return "/".join(parts)
