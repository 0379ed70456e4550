"""The reading of a collection by its folders, and the paths that it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from butterflyer_jax.data.ingest import words

SHOWN = 4
# Of build.layout.
LEAF, TOP, PATH, NAME = "leaf", "top", "path", "name"


@dataclass(frozen=True, slots=True)
class Place:
    """What the folders say of one photo.

    Attributes:
      label: species.
      split: train, val, test or None.
      taxonomy: folders above the species that all photos' paths have, outermost first.
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
      places: photos with a species.
      rejects: the others, and why.
      ignored: photos that are left out because of what their folder is, and what that is.
      splits: the split that folders give to each photo, with a species or without.
      problem: why this is no sensible reading; "" where it is one.
      choices: options by which a user may take a reading all the same.
      notes: what a user should know.
    """

    places: dict[str, Place] = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    choices: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> set[str]:
        """The species."""
        return {place.label for place in self.places.values()}


@dataclass(frozen=True, slots=True)
class FolderPath:
    """A photo's folders, sorted by what they are.

    Attributes:
      folders: all of them, outermost first.
      names: those that may name a species.
      circumstances: sessions, years, regions and the like.
      split: train, val, test or None.
      clash: whether they name two splits.
      unlabelled: the folder that says that there is no label; "" for none.
    """

    folders: tuple[str, ...]
    names: tuple[str, ...]
    circumstances: tuple[str, ...]
    split: str | None
    clash: bool
    unlabelled: str = ""

    @property
    def shown(self) -> str:
        """The path, for a user."""
        return "/".join(self.folders) + "/"

    @property
    def parent(self) -> tuple[str, ...]:
        """The folders above the first that may name a species."""
        start = next((n for n, folder in enumerate(self.folders) if words.plain(folder) == self.names[0]), 0)
        return self.folders[:start]


def some(names: Iterable[str], number: int = SHOWN) -> str:
    """Returns the first of some names, and how many more there are."""
    ordered = sorted(dict.fromkeys(names))
    more = f" and {len(ordered) - number:,} more" if len(ordered) > number else ""
    return ", ".join(ordered[:number]) + more
