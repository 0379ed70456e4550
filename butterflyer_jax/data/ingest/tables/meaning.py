"""What one table says, and what a user says of tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from butterflyer_jax.data.ingest.tables.columns import Table

SHOWN_COLUMNS = 8
NONE = "none"


@dataclass(frozen=True)
class Options:
    """What a user says of tables: names of files and columns, "" for what is to be found."""

    table: str = ""
    file_column: str = ""
    label_column: str = ""
    group_column: str = ""
    split_column: str = ""


@dataclass
class Meaning:
    """One table, understood.

    Attributes:
      table: as it was read.
      file_column: the column that names photos.
      photos: for each row the photos that it may mean.
      label_name: the columns of the label, as the file spells them; "" where it has none.
      labels: for each row its label, "" for none; [] where the table has none.
      ranks: for each row the names above the species, outermost first.
      splits: for each row train, val, test, "" for none, or the unknown word.
      groups: for each row the values of the group columns.
      group_names: the group columns.
      split_name: the split column, or the file's name where that names it.
      of_folders: whether a row means all photos in a folder.
      notes: what a user should know.
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
    of_folders: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """The table and the columns that were read, for a user."""
        return f"{self.table.name} ({self.table.columns[self.file_column]}, {self.label_name})"


def describe_columns(table: Table) -> str:
    """Returns the first columns of a table, for a user."""
    shown = ", ".join(column or "(no name)" for column in table.columns[:SHOWN_COLUMNS])
    return shown + (", …" if len(table.columns) > SHOWN_COLUMNS else "")
