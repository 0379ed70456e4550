"""Where the numbers of a run go: metrics.jsonl, one object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Takes one record at a time; a context manager."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: Any) -> None: ...

    def log(self, record: Mapping[str, Any]) -> None:
        """Keeps a record; it has at least `step`, `epoch` and `split`."""


class NoTracker:
    """Keeps nothing: of many processes one keeps the records."""

    def __enter__(self) -> NoTracker:
        return self

    def log(self, record: Mapping[str, Any]) -> None:
        """Does nothing."""

    def __exit__(self, *_: object) -> None:
        pass


class JsonlTracker:
    """Appends records to a file; a context manager that closes it."""

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

    def __enter__(self) -> JsonlTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


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
