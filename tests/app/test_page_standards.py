"""The page against the standards: HTML, and accessibility by axe-core in its states."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import axe_playwright_python
import html5lib
import pytest

from tests.helpers.app_parts import DIM, GREY, ORANGE, picture
from tests.helpers.browser import give

OTHERS = ("paper", "card")
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


@pytest.mark.browser
def test_a_screen_reader_has_a_status_and_names_and_no_flood(page: Any) -> None:
    assert page.locator("#verdict").get_attribute("role") == "status"
    assert page.locator("[aria-live]").count() == 0
    unnamed = """[...document.querySelectorAll("button, input, textarea, summary")]
        .filter((one) => one.checkVisibility())
        .filter((one) => !(one.textContent.trim() || one.labels?.length || one.getAttribute("aria-label")))
        .map((one) => one.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast(scheme: int) -> None:
    css = Path(str(resources.files("butterflyer_jax.app") / "static" / "app.css")).read_text()
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", re.findall(r":root \{(.*?)\n\s*\}", css, re.DOTALL)[scheme]))

    def luminance(name: str) -> float:
        parts = [int(colours[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    # WCAG 2.2, AA: text, then what shows a control.
    for name in ("ink", "soft", "link", "serious", "notable", "good"):
        assert min(contrast(name, on) for on in (*OTHERS, "fill")) >= 4.5, name
    assert contrast("on-accent", "accent") >= 4.5
    for name in ("edge", "bars", "accent"):
        assert min(contrast(name, on) for on in OTHERS) >= 3, name
