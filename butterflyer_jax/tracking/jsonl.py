"""The metrics.jsonl tracker: one JSON object per line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from butterflyer_jax.console import say
from butterflyer_jax.storage import files
from butterflyer_jax.tracking.tracker import Tracker


class JsonlTracker(Tracker):
    """Appends records to a file; images and the model lie elsewhere in the run folder."""

    def __init__(self, path: str | os.PathLike[str], start_step: int) -> None:
        """Opens the file for a run that starts or resumes at `start_step`.

        Lines that a killed run logged after that step are removed: the steps are repeated, and no line appears twice.
        """
        path = Path(path)
        if path.exists():
            _cut(path, start_step)
        self._file = path.open("a", encoding="utf-8")

    def log(self, record: Mapping[str, Any]) -> None:
        """Writes a record as one line, at once."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self, failed: bool = False) -> None:
        """Closes the file."""
        self._file.close()


def read_records(path: Any) -> list[dict[str, Any]]:
    """Returns the records of a metrics file, local or gs://, without a last line that is still being written.

    Args:
      path: an `etils.epath.Path` or a `pathlib.Path`; a missing file holds no records.
    """
    if not path.exists():
        return []
    found = (_record(line) for line in path.read_bytes().splitlines())
    return [record for record in found if record is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    """Returns the record of a line; None of one that was being written, is damaged, or is none of ours."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(record, dict) and isinstance(record.get("step"), int) and "split" in record
    return record if is_ours else None


def _cut(path: Path, last_step: int) -> None:
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    records = [_record(line) for line in lines]
    # The last line may have been being written when the run was killed; one before it was damaged since.
    if bad := sum(record is None for record in records[:-1]):
        say(f"{path}: {bad} damaged lines are left out")
    kept = [line + b"\n" for line, record in zip(lines, records, strict=True) if record and record["step"] <= last_step]
    files.write_bytes(path, b"".join(kept))
