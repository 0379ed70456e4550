"""Meaning of one table, and the user's options for tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from butterflyer_jax.data.ingest.tables.boxes import Box
from butterflyer_jax.data.ingest.tables.columns import Table

SHOWN_COLUMNS = 8
NONE = "none"
# Values of build.split_column besides columns.
FOLDER, FILE_NAME = "folder", "file_name"
# Value of build.label_column for labels that are the names of tables.
TABLE_NAME = "table_name"


@dataclass(frozen=True)
class Options:
    """The user's names of tables and columns; "" where they are detected."""

    table: str = ""
    file_column: str = ""
    label_column: str = ""
    group_column: str = ""
    split_column: str = ""
    box_format: str = "auto"


@dataclass
class Meaning:
    """The interpretation of one table.

    Attributes:
      table: table as read.
      file_column: index of the column that names photos.
      photos: for each row, the photos that it may name.
      label_name: names of the label columns, as spelled in the file; "" for none.
      labels: for each row the label, "" for none; [] where the table has no labels.
      ranks: for each row the taxa above the species, outermost first.
      splits: for each row train, val, test, "" for none, or an unknown word as it stands.
      groups: for each row the values of the group columns.
      group_names: names of the group columns.
      split_name: name of the split column, or the file name where that names the split.
      boxes: for each row the box of the butterfly, None for none; [] where the table has no boxes.
      elsewhere: photos that other columns than the user's name, and no row labels.
      of_folders: whether each row stands for all photos in a folder.
      notes: notes for the user.
      problem: reason why its labels are not used, "" for none.
    """

    table: Table
    file_column: int
    photos: list[list[str]]
    label_name: str = ""
    labels: list[str] = field(default_factory=list)
    ranks: list[tuple[str, ...]] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    group_names: tuple[str, ...] = ()
    split_name: str = ""
    boxes: list[Box | None] = field(default_factory=list)
    elsewhere: set[str] = field(default_factory=set)
    of_folders: bool = False
    notes: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def source(self) -> str:
        """The table and the columns that were read, for messages."""
        return f"{self.table.name} ({self.table.columns[self.file_column]}, {self.label_name})"


def describe_columns(table: Table) -> str:
    """Returns the names of the first columns of a table, for messages."""
    shown = ", ".join(column or "(no name)" for column in table.columns[:SHOWN_COLUMNS])
    return shown + (", …" if len(table.columns) > SHOWN_COLUMNS else "")
