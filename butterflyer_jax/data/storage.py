"""Files, local or gs://, written so that a killed program leaves nothing that reads as whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable

from etils import epath


def path(name: str | os.PathLike[str]) -> epath.Path:
    """Returns the path, local (made absolute, `~` expanded) or gs://, with pathlib's methods."""
    path = epath.Path(name)
    # epath would make gs://bucket a folder below the current one.
    return path if "://" in os.fspath(path) else path.expanduser().absolute()


def write_text(name: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text file: under a temporary name beside it, then renamed.

    Raises:
      OSError: no space, no permission; the old file, if any, is untouched.
    """
    target = path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        temporary.write_text(text)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_csv(name: str | os.PathLike[str], header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a whole CSV file with a header, as `write_text` does."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(name, text.getvalue())
