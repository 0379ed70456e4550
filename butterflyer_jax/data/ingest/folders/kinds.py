"""Kinds of folders: split, container, masks, circumstance, or a name that may be a species."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from butterflyer_jax.data.ingest import words
from butterflyer_jax.data.ingest.folders import circumstances, masks
from butterflyer_jax.data.ingest.folders.reading import FolderPath
from butterflyer_jax.data.ingest.words import UNLABELLED


def sort_paths(
    photos: Iterable[str], as_they_are: bool, listed: Collection[str] = ()
) -> tuple[dict[str, FolderPath], dict[str, str]]:
    """Sorts the folders of photos by kind.

    Args:
      photos: paths of photos in the collection.
      as_they_are: whether circumstances may be species too, by the user's choice of layout.
      listed: folders that are named in a list of classes.

    Returns:
      The folder path of each photo; and what is ignored, such as masks, with the reason.
    """
    # Folders hold many photos: each folder is examined once.
    by_folder: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        by_folder[photo.rpartition("/")[0]].append(photo)
    parts = {folder: tuple(part for part in folder.split("/") if part not in ("", ".")) for folder in by_folder}
    splits = _Splits(parts.values())
    certain = _beside_names(parts.values(), splits)
    drawn = _drawn_labels(by_folder)
    paths: dict[str, FolderPath] = {}
    ignored: dict[str, str] = {}
    for folder, inside in by_folder.items():
        mask = next((name for name in parts[folder] if words.holds_no_photos(name) or name in drawn), "")
        if mask:
            ignored |= dict.fromkeys(inside, f"in {mask}/")
        else:
            beside = masks.beside_photos(inside)
            ignored |= dict.fromkeys(beside, "mask or thumbnail beside its photo")
            inside = [name for name in inside if name not in beside]
            kept = frozenset(
                name for n, name in enumerate(parts[folder]) if name in listed or parts[folder][: n + 1] in certain
            )
            paths |= dict.fromkeys(inside, _sort(parts[folder], kept, splits, as_they_are))
    return paths, ignored


def _drawn_labels(by_folder: Mapping[str, Sequence[str]]) -> set[str]:
    """Returns the folders named "labels" that hold masks: lossless images, of suffixes that no photo elsewhere has."""
    inside: dict[str, set[str]] = defaultdict(set)
    outside: set[str] = set()
    for folder, photos in by_folder.items():
        suffixes = {photo.rpartition(".")[2].lower() for photo in photos}
        name = next((part for part in folder.split("/") if words.squeeze(part) in ("label", "labels")), "")
        if name:
            inside[name] |= suffixes
        else:
            outside |= suffixes
    drawn = {"png", "gif", "bmp", "tif", "tiff"}
    return {name for name, suffixes in inside.items() if outside and suffixes <= drawn and not suffixes & outside}


class _Splits:
    """Splits named by folders: by a name alone, or together with its siblings, such as "my_train" and "my_test"."""

    def __init__(self, paths: Iterable[tuple[str, ...]]) -> None:
        children: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for folders in set(paths):
            for level, folder in enumerate(folders):
                children[folders[:level]].add(folder)
        self._by_sibling: dict[str, str] = {}
        self._species: dict[str, str] = {}
        for names in children.values():
            found = _by_siblings(names)
            self._by_sibling |= found
            rests = {name: words.without_split(name) for name in found}
            if len(set(rests.values())) > 1:
                self._species |= rests

    def of(self, folder: str) -> str | None:
        """Returns the split of a folder: train, val, test, UNLABELLED or None."""
        if words.is_unlabelled(folder, in_test=False):
            return UNLABELLED
        return words.split_of(folder) or self._by_sibling.get(folder)

    def species(self, folder: str) -> str:
        """Returns the species in the name of a folder that also names a split: "Monarch_train"; "" for none."""
        return self._species.get(folder, "")


def _by_siblings(names: Iterable[str]) -> Mapping[str, str]:
    by_rest: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        if found := words.split_by_word(name):
            split, rest = found
            by_rest[rest][name] = split
    several = [found for found in by_rest.values() if len({*found.values()} - {UNLABELLED}) > 1]
    return {name: split for found in several for name, split in found.items()}


def _beside_names(paths: Iterable[tuple[str, ...]], splits: _Splits) -> set[tuple[str, ...]]:
    """Returns the folders that are named like circumstances or numbers, but lie beside folders that may be species."""
    children: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for folders in set(paths):
        for level, folder in enumerate(folders):
            if not (splits.of(folder) or words.is_container(folder) or words.holds_no_photos(folder)):
                children[folders[:level]].add(folder)
    found = set()
    for parent, names in children.items():
        certain = {
            name for name in names if circumstances.kind_of(name) is None and not circumstances.is_identifier(name)
        }
        if certain:
            found |= {(*parent, name) for name in names - certain}
    return found


def _sort(folders: tuple[str, ...], kept: frozenset[str], splits: _Splits, as_they_are: bool) -> FolderPath:
    kinds = {folder: splits.of(folder) for folder in folders}
    named = {kind for kind in kinds.values() if kind and kind != UNLABELLED}
    rest = [folder for folder in folders if not kinds[folder] and not words.is_container(folder)]
    names = [folder for folder in rest if circumstances.kind_of(folder) is None or folder in kept]
    # Below a name, a catalogue number is that of a specimen; at the top, it may stand for a species.
    certain = [
        folder
        for position, folder in enumerate(names)
        if position == 0 or folder in kept or not circumstances.is_identifier(folder)
    ]
    chosen = rest if as_they_are else certain or rest or list(filter(None, map(splits.species, folders)))
    in_test = "test" in named
    return FolderPath(
        folders,
        tuple(map(words.plain, chosen)),
        tuple(folder for folder in rest if folder not in chosen),
        next(iter(named)) if len(named) == 1 else None,
        len(named) > 1,
        next((f for f in folders if kinds[f] == UNLABELLED or words.is_unlabelled(f, in_test)), ""),
    )
