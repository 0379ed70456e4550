"""The page against the standards: HTML, and accessibility by axe-core in its states."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import axe_playwright_python
import html5lib
import pytest

from tests.helpers.app_parts import DIM, GREY, ORANGE, picture
from tests.helpers.browser import give

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


def test_the_page_is_html_without_errors() -> None:
    page = resources.files("butterflyer_jax.app").joinpath("static", "page.html").read_text(encoding="utf-8")
    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    ids = [element.get("id") for element in document.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for name in ("for", "aria-controls", "aria-labelledby", "list"):
        assert {element.get(name) for element in document.iter() if element.get(name)} <= set(ids)


def violations(page: Any) -> list[Any]:
    """Returns what axe-core finds on the page as it stands."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(browser: Any, address: str, scheme: str) -> None:
    # The checker is a script that the page's own rules would not let in.
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".chip")
    assert violations(page) == []
    give(page, picture(ORANGE), picture(DIM))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    page.check("#one-animal")
    page.check("#heat-shown")
    page.fill("#message", "What does it eat?")
    page.press("#message", "Enter")
    page.wait_for_selector(".sources")
    assert violations(page) == []
    page.click("#crop")
    page.click("#wrong")
    page.click("#log-add")
    assert violations(page) == []
    page.click("#crop")
    page.locator("#compared .example").first.click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    give(page, picture(GREY))
    page.wait_for_selector(".verdict.none")
    assert violations(page) == []
    context.close()
