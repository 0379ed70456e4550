"""metrics.jsonl, one object a line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from butterflyer_jax.tracking.tracker import Model, Pictures


class JsonlTracker:
    """Appends records to a file."""

    def __init__(self, path: str | os.PathLike[str], start_step: int) -> None:
        """Opens the file for a run that goes on from `start_step`.

        What a killed run logged after that step is taken out: the steps are done again, and no line stands twice.
        """
        path = Path(path)
        if path.exists():
            _cut(path, start_step)
        self._file = path.open("a", encoding="utf-8")

    def log(self, record: Mapping[str, Any]) -> None:
        """Writes a record as one line, at once."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def show(self, pictures: Pictures) -> None:
        """Does nothing: the file holds numbers."""

    def keep_model(self, model: Model) -> None:
        """Does nothing: the checkpoint lies beside the file."""

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
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def _cut(path: Path, last_step: int) -> None:
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            # The line that was being written when the run was killed.
            continue
        if record["step"] <= last_step:
            kept.append(line + "\n")
    temporary = path.with_name(f".{path.name}.cut")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
