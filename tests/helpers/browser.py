"""A headless Chromium of the system, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# In containers there is no other user than root; nothing in the background looks for the network.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """Yields a browser; without one on the machine the test is left out, which `.ci/run` does not let happen."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def give(page: Any, *pictures: bytes, name: str = "a.png") -> None:
    """Chooses photos on the page."""
    page.set_input_files(
        "#choose", [{"name": f"{n}{name}", "mimeType": "image/png", "buffer": data} for n, data in enumerate(pictures)]
    )
