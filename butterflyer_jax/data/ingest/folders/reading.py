"""Reading of a collection by its folders, and its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from butterflyer_jax.data.ingest import words

SHOWN = 4
# Values of build.layout.
LEAF, TOP, PATH, NAME = "leaf", "top", "path", "name"


@dataclass(frozen=True, slots=True)
class Place:
    """Label, split, taxonomy and group of one photo, by its folders.

    Attributes:
      label: species.
      split: train, val, test or None.
      taxonomy: folders above the species, at the levels that all photos have, outermost first.
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
      places: photos with a species, by path.
      rejects: photos without a species, with the reasons.
      ignored: photos that are left out because of their folder's kind, with that kind.
      splits: split of each photo by its folders, with or without a species.
      problem: reason why this reading is not sensible; "" where it is.
      choices: options by which the user can still choose a reading.
      notes: what a user should know.
    """

    places: dict[str, Place] = field(default_factory=dict)
    rejects: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    choices: str = ""
    notes: list[str] = field(default_factory=list)

    def ask(self, problem: str, choices: str) -> None:
        """Adds a question to those that the user is asked at once: a problem, and the options that choose."""
        before = f"{self.problem} ({self.choices}); also, " if self.problem else ""
        self.problem, self.choices = before + problem, choices

    @property
    def labels(self) -> set[str]:
        """The species."""
        return {place.label for place in self.places.values()}


@dataclass(frozen=True, slots=True)
class FolderPath:
    """The folders of a photo, sorted by kind.

    Attributes:
      folders: all of them, outermost first.
      names: folders that may name a species.
      circumstances: folders that name sessions, years, regions and the like.
      split: train, val, test or None.
      clash: whether the folders name two splits.
      unlabelled: folder whose name says that its photos have no label; "" for none.
    """

    folders: tuple[str, ...]
    names: tuple[str, ...]
    circumstances: tuple[str, ...]
    split: str | None
    clash: bool
    unlabelled: str = ""

    @property
    def shown(self) -> str:
        """The path, for messages."""
        return "/".join(self.folders) + "/"

    @property
    def parent(self) -> tuple[str, ...]:
        """The folders above the first one that may name a species."""
        start = next((n for n, folder in enumerate(self.folders) if words.plain(folder) == self.names[0]), 0)
        return self.folders[:start]


def some(names: Iterable[str], number: int = SHOWN) -> str:
    """Returns the first few names as text, and the number of the others."""
    ordered = sorted(dict.fromkeys(names))
    more = f" and {len(ordered) - number:,} more" if len(ordered) > number else ""
    return ", ".join(ordered[:number]) + more


def pattern(folder: str) -> str:
    """Returns the pattern of build.ignore that fits the files below a folder; commas and brackets mean more there."""
    return re.sub(r"[][*?,]", "?", folder) + "/*"
