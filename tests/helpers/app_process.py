"""The application as a process."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import ROOT


@dataclass
class Running:
    """A service that answers."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def start(folder: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Runs `python -m butterflyer_jax.app` on a free port until the block ends."""
    line = [sys.executable, "-m", "butterflyer_jax.app", *map(str, arguments), "--port", "0"]
    line += ["--feedback", str(folder / "feedback.sqlite")]
    log = folder / "app.log"
    with log.open("w") as opened:
        process = subprocess.Popen(line, cwd=ROOT, env={**os.environ, **(env or {})}, stderr=opened, text=True)
    try:
        yield Running(process, _address(process, log), log)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    with log.open() as opened:
        text = ""
        while not (found := re.search(r'"ready": "(.*)"', text)):
            ended = process.poll() is not None
            # Waits for what comes: a line, or the process's end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            text += opened.read()
            assert not ended, text
        return found[1]
