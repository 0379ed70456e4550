"""Log of the application: JSON lines on stderr, without photos, names or texts of visitors."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


def log_error(what: str, error: BaseException) -> None:
    """Prints a JSON line about an internal error."""
    log_line(failed=what, **failure_of(error))


class JsonLines(logging.Formatter):
    """Formatter of library messages as JSON lines, without the texts in them."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns a log record as one line."""
        line = {
            "time": now(),
            "logger": record.name,
            "level": record.levelname,
            "place": f"{record.pathname}:{record.lineno}",
        }
        return json.dumps(line)


def log_as_json() -> None:
    """Makes libraries log warnings and errors to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


def log_line(**fields: Any) -> None:
    """Prints a JSON line with the time and these fields."""
    to_stderr(json.dumps({"time": now(), **fields}))


def failure_of(error: BaseException) -> dict[str, str]:
    """Returns the class and location of an error; its message may contain a visitor's text."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "place": place}


def now() -> str:
    """Returns the current time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def to_stderr(line: str) -> None:
    """Prints a line to stderr and flushes it."""
    print(line, file=sys.stderr, flush=True)
