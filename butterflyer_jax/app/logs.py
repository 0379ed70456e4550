"""The log of the application: lines of JSON on stderr, without pictures, names or texts of visitors."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


def log_error(what: str, error: BaseException) -> None:
    """Prints a line of JSON on an error of our own making."""
    log_line(failed=what, **failure_of(error))


class JsonLines(logging.Formatter):
    """Formats what libraries log as lines of JSON, without the texts that they may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line."""
        line = {
            "time": now(),
            "logger": record.name,
            "level": record.levelname,
            "place": f"{record.pathname}:{record.lineno}",
        }
        return json.dumps(line)


def log_as_json() -> None:
    """Makes libraries log warnings and errors to stderr as lines of JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)


def log_line(**fields: Any) -> None:
    """Prints a line of JSON with the time and these fields."""
    to_stderr(json.dumps({"time": now(), **fields}))


def failure_of(error: BaseException) -> dict[str, str]:
    """Returns an error's kind and place: its text may hold a visitor's."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return {"error": type(error).__name__, "place": place}


def now() -> str:
    """Returns the time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def to_stderr(line: str) -> None:
    """Prints a line at once."""
    print(line, file=sys.stderr, flush=True)
