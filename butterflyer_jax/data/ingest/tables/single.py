"""A table of its own that an option names: text in any encoding and with any delimiter, or a spreadsheet."""

from __future__ import annotations

import csv
import os

from etils import epath

from butterflyer_jax.data.ingest.tables import records, text
from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files, paths

_SPREADSHEETS = (".xlsx", ".xlsm")


def read_rows(path: str | os.PathLike[str]) -> list[list[str]]:
    """Returns the rows of a table, header included, cells stripped; blank rows and comments before it are left out.

    Args:
      path: csv, tsv and the like, or xlsx with one sheet that is used; local or gs://.

    Raises:
      UserError: there is no such file, or it is no table.
    """
    file = _existing(path)
    if file.suffix.lower() not in _SPREADSHEETS:
        try:
            return text.parse(read_text(path))
        except (csv.Error, ValueError) as error:
            raise UserError(f"cannot read {file}: {error}") from error
    try:
        sheets = records.from_xlsx(files.read_bytes(file), str(file))
    except ValueError as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if len(sheets) > 1:
        raise UserError(f"{file} has {len(sheets)} sheets that are used: leave one, or save one as CSV")
    return [[cell.strip() for cell in row] for _, rows in sheets for row in rows if any(row)]


def read_text(path: str | os.PathLike[str]) -> str:
    """Returns a text in the encoding that it is found to have.

    Raises:
      UserError: there is no such file, or it is not text.
    """
    file = _existing(path)
    try:
        content = text.decode(files.read_bytes(file), str(file)).removeprefix("\ufeff")
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file} is not text in UTF-8: {error}") from error
    if "\ufffd" in content or "\0" in content:
        raise UserError(f"{file} is not text in UTF-8")
    return content


def _existing(path: str | os.PathLike[str]) -> epath.Path:
    file = paths.path(path)
    if not files.exists(file):
        raise UserError(f"no such file: {file}")
    if files.is_folder(file):
        raise UserError(f"{file} is a folder: a file is needed")
    return file
