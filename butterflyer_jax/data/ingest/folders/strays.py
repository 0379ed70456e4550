"""Stray photos: unlabelled, beside the folders of species, at another depth, or set aside."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from butterflyer_jax.data.ingest import higher_taxa, unclear, words
from butterflyer_jax.data.ingest.folders import circumstances
from butterflyer_jax.data.ingest.folders.reading import NAME, FolderPath, Folders, pattern, some

# Number of folders of one photo each from which on they look like no species.
MIN_SINGLE = 5
NO_SPECIES = "not in a folder of a species, as others are"
TOO_DEEP = (
    "its folder lies deeper than those of the species; build.layout=top takes the outer folders as species, "
    "build.layout=leaf the inner ones"
)
# Largest share of photos beside the folder of all others that counts as strays.
MAX_STRAYS = 0.05


def set_apart(paths: dict[str, FolderPath], result: Folders, layout: str) -> None:
    """Removes unlabelled photos and photos whose split is not clear.

    Args:
      paths: folder paths of the photos; changed in place.
      result: receives rejects and ignored photos, and a problem where a folder may be a split or a species.
      layout: the user's build.layout, "" for none.
    """
    # Photos of one folder share their path object: comparing thousands of equal ones is slow.
    unique = {id(path): path for path in paths.values()}.values()
    named = [path for path in unique if path.names]
    train = any(path.split == "train" for path in paths.values())
    with_split = sum(path.split is not None for path in paths.values())
    most_in_splits = train and 2 * with_split > len(paths)
    if not layout:
        if not most_in_splits:
            _check_siblings_of_splits(named, result)
        _check_test_beside_species(unique, named, result)
    for photo, path in list(paths.items()):
        if path.clash:
            result.rejects[photo] = "its folders name two splits"
        elif path.unlabelled:
            result.ignored[photo] = f"unlabelled in {path.unlabelled}/"
        elif named and not path.names and path.split == "test" and layout != NAME:
            result.ignored[photo] = f"unlabelled in {path.shown}"
        elif path.names and not path.split and most_in_splits:
            result.rejects[photo] = "not in a folder of a split, as others are"
        else:
            continue
        del paths[photo]


def take_all_names(paths: dict[str, FolderPath]) -> None:
    """Treats folders such as "test" or "images" as species where they lie beside species or no other folder names one.

    Args:
      paths: folder paths of photos whose layout the user has chosen; changed in place.
    """
    parents = {path.parent for path in {id(path): path for path in paths.values()}.values() if path.names}
    for photo, path in paths.items():
        if path.names or path.unlabelled or not path.folders:
            continue
        if not parents or path.folders[:-1] in parents:
            name = path.folders[-1]
            split = None if words.split_of(name) == path.split else path.split
            paths[photo] = dataclasses.replace(path, names=(words.plain(name),), split=split, unlabelled="")


def _check_siblings_of_splits(named: Sequence[FolderPath], result: Folders) -> None:
    """Records a problem where a folder beside splits holds the same species and may be a split itself."""
    species = {name for path in named if path.split and not path.clash for name in path.names}
    parents: dict[tuple[str, ...], str] = {}
    for path in named:
        if path.split:
            for level, folder in enumerate(path.folders):
                if words.split_of(folder):
                    parents.setdefault(path.folders[:level], folder)
    for path in sorted(named, key=lambda path: path.folders):
        if not path.split and not path.unlabelled and len(path.names) > 1 and species & set(path.names[1:]):
            beside = parents.get(path.parent)
            if beside and path.names[0] not in species:
                folder = "/".join((*path.parent, path.names[0]))
                result.problem = (
                    f"{folder}/ lies beside the split {beside}/ and holds the same folders, but its name is that of no "
                    "split"
                )
                result.choices = f"rename it to train, val or test, or leave it out with build.ignore={pattern(folder)}"
                return


def _check_test_beside_species(paths: Iterable[FolderPath], named: Sequence[FolderPath], result: Folders) -> None:
    """Records a problem where a folder "test" lies among folders of species and there is no other split."""
    if result.problem or any(path.split for path in named):
        return
    beside = {path.parent for path in named}
    for path in paths:
        if path.split == "test" and not path.names and path.folders[:-1] in beside:
            result.problem = (
                f"{path.shown} lies among the folders of species ({some((p.names[0] for p in named), 3)}), and may be "
                "one, or hold photos without labels"
            )
            result.choices = (
                f"build.layout=leaf takes it as a species, build.ignore={pattern(path.shown[:-1])} leaves it out"
            )
            return


def unwrap(paths: dict[str, FolderPath]) -> None:
    """Removes the folders that wrap all photos from the candidate names where there are several subfolders below."""
    unique = {id(path): path for path in paths.values()}
    shortest, longest = (kind((path.names for path in unique.values()), default=()) for kind in (min, max))
    # The common beginning of the first and the last in order is that of all.
    depth = next(
        (n for n, pair in enumerate(zip(shortest, longest, strict=False)) if pair[0] != pair[1]), len(shortest)
    )
    if not depth or len({path.names[depth : depth + 1] for path in unique.values()}) < 3:
        return
    bare = {number: dataclasses.replace(path, names=path.names[depth:]) for number, path in unique.items()}
    for photo, path in paths.items():
        paths[photo] = bare[id(path)]


def remove_strays(paths: dict[str, FolderPath], result: Folders) -> None:
    """Removes the few photos that lie beside the folder that wraps all others."""
    tops: dict[str, list[str]] = defaultdict(list)
    for photo, path in paths.items():
        if path.names:
            tops[path.folders[0]].append(photo)
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


def remove_odd_depths(paths: dict[str, FolderPath], result: Folders) -> None:
    """Removes photos at another folder depth than most others."""
    depths = Counter(len(path.names) for path in paths.values())
    if not depths:
        return
    if all(path.names for path in paths.values()) and words.are_binomials({p.names[-1] for p in paths.values()}):
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
            paths[photo] = dataclasses.replace(path, names=path.names[:usual])
            continue
        result.rejects[photo] = TOO_DEEP if len(path.names) > usual else why_no_species(path)
        del paths[photo]


def why_no_species(path: FolderPath) -> str:
    """Returns the reason why a photo has no species where others have one."""
    if not path.folders:
        return NO_SPECIES
    if path.names and circumstances.kind_of(path.names[-1]) is None:
        return f"in {path.shown}, which lies higher than the folders of species; build.layout=leaf takes it as one"
    if path.split:
        return f"in {path.shown}, without a folder of a species"
    left_out = pattern(path.shown[:-1])
    return (
        f"in {path.shown}, whose name is that of no species; build.layout=leaf takes it as one, "
        f"build.ignore={left_out} leaves it out"
    )


def check_single(result: Folders) -> None:
    """Records a problem where each folder has a number and holds one photo: 123/medium.jpg, 124/medium.jpg."""
    labels = result.labels
    numbered = all(any(map(str.isdigit, label)) for label in labels)
    if numbered and len(labels) == len(result.places) >= MIN_SINGLE:
        result.ask(
            f"each folder holds one photo, so {some(labels)} may be numbers of photos, not species",
            "build.layout=leaf takes each as a species; else label the photos by a table",
        )


def check_counterparts(result: Folders) -> None:
    """Records a problem where one folder has an image for each photo of all others: masks, or copies."""
    stems: dict[str, set[str]] = defaultdict(set)
    for photo, place in result.places.items():
        stems[place.label].add(photo.rpartition("/")[2].rpartition(".")[0])
    if len(stems) < 3:
        return
    total = sum(map(len, stems.values()))
    for label, own in stems.items():
        others = set().union(*(found for other, found in stems.items() if other != label))
        # The names are all different, so this is not a mere coincidence of numbering.
        if own == others and len(others) == total - len(own):
            result.ask(
                f"{label}/ holds a picture of the same name for each photo of the others, as masks do",
                f"build.ignore=*{pattern(label)} leaves it out, build.layout=leaf takes it as one more species",
            )
            return


def check_languages(result: Folders) -> None:
    """Records a problem where one folder has scientific names and another has others: two sets that were joined."""
    below: dict[str, set[str]] = defaultdict(set)
    for photo, place in result.places.items():
        # Splits without a species in common are refused as such.
        below[photo.partition("/")[0] if not place.split else ""].add(place.label)
    found = words.in_two_languages(below)
    if not found or any(folder in labels for folder, labels in below.items()):
        return
    one, other = found
    result.ask(
        f"{one}/ has scientific names, such as {min(below[one])}, and {other}/ has others, such as {min(below[other])}:"
        " two names of one species would be two species",
        f"build.layout=leaf takes them as they are, build.ignore={pattern(other)} leaves the second out",
    )


def check_doubted(result: Folders) -> None:
    """Records a problem where a folder below a species holds photos that may not be of it: "Monarch/not sure"."""
    doubted: dict[str, str] = {}
    # A folder is looked at once, however many photos it holds.
    folders = {(photo.rpartition("/")[0], place.label): photo for photo, place in result.places.items()}
    for (folder, label), photo in folders.items():
        parts = folder.split("/")
        below = [part for part in parts if unclear.is_doubted(part) and words.plain(part) != label]
        if below and label in map(words.plain, parts[: parts.index(below[0])]):
            doubted.setdefault(below[0], photo)
    if not doubted:
        return
    left_out = ",".join("*/" + pattern(folder) for folder in sorted(doubted))
    result.ask(
        f"{some(f'{folder}/' for folder in doubted)} lies below a species ({min(doubted.values())}), and its photos "
        "may not be of it",
        f"build.ignore={left_out} leaves it out, build.layout=top takes it as the species above",
    )


def check_unsure(result: Folders) -> None:
    """Records a problem where a folder may be one more class or not: "other", "backup", or a genus beside species."""
    unsure: dict[str, str] = {}
    above = higher_taxa.among(result.labels)
    for photo, place in result.places.items():
        if unclear.is_unsure(place.label) or place.label in above:
            start = f"/{photo}".find(f"/{place.label}/")
            start = photo.find(place.label) if start < 0 else start
            unsure.setdefault(place.label, pattern(photo[: start + len(place.label)]) if start >= 0 else "*/*")
    if not unsure:
        return
    photos = sum(place.label in unsure for place in result.places.values())
    left_out = ",".join(sorted(unsure.values()))
    choices = f"build.ignore={left_out} leaves it out, build.layout=leaf takes each innermost folder as a class"
    if of_none := ",".join(sorted(own for label, own in unsure.items() if unclear.is_of_no_species(label))):
        choices += f", build.negatives={of_none} takes it as photos that show no species"
    result.ask(
        f"{some(f'{label}/' for label in unsure)} (photos: {photos:,}) may be a class beside the species, or "
        + ("photos whose species is not known" if unsure.keys() <= above else "what was put aside"),
        choices,
    )
