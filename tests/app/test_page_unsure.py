"""The row of photos on small screens, and what the page says of a photo whose name is not sure; in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from butterflyer_jax.app.identify import Identifier
from butterflyer_jax.app.server.service import Parts
from butterflyer_jax.app.settings import Settings
from tests.helpers.app_parts import DIM, GREEN, GREY, ORANGE, Colours, make_parts, picture
from tests.helpers.browser import give

pytestmark = pytest.mark.browser

LONG = "Heliconius_melpomene_malleti_x_Heliconius_elevatus_pseudocupidineus_schmassmanni"
CUT = """() => {
    const strip = document.querySelector("#strip").getBoundingClientRect();
    return [...document.querySelectorAll(".thumbnail, .mark, .mark b")]
        .map((one) => [one.getBoundingClientRect(), one.className])
        .filter(([box]) => box.top < strip.top || box.bottom > strip.bottom)
        .map(([, name]) => name);
}"""


class LongNames(Colours):
    """Green has a name that no small photo is wide enough for."""

    species = ("Monarch", LONG, "Red Admiral")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    settings = Settings(pictures_per_minute=0, messages_per_minute=0)
    return make_parts(tmp_path_factory.mktemp("app"), settings, identifier=Identifier(LongNames()))


def give_all(page: Any) -> None:
    pictures = [picture(colour) for colour in (ORANGE, DIM, GREY, GREEN)]
    give(page, *pictures, b"no photo", *pictures)
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")


@pytest.mark.parametrize("size", [(390, 844), (360, 640), (844, 390), (1280, 800)])
def test_no_photo_of_the_row_is_cut_through_its_name(page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    give_all(page)
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.locator("#strip").bounding_box()["height"] < size[1] / 2
    page.locator(".thumbnail").last.click()
    row, last = page.locator("#strip").bounding_box(), page.locator(".thumbnail").last.bounding_box()
    assert last["x"] + last["width"] <= row["x"] + row["width"]


def test_the_row_says_what_is_not_sure_before_any_long_name(page: Any) -> None:
    give_all(page)
    plain = LONG.replace("_", " ")
    marks = page.locator(".mark").all_inner_texts()
    assert [" ".join(mark.split()) for mark in marks[:5]] == [
        "Monarch",
        "not sure Monarch",
        "not in my list",
        plain,
        "not read",
    ]
    assert page.locator(".mark").nth(3).get_attribute("title") == plain


def test_facts_and_chat_do_not_take_a_name_that_is_not_sure_for_what_the_photo_shows(page: Any) -> None:
    give_all(page)
    page.wait_for_selector("#facts:not([hidden])")
    assert not page.locator("#facts-perhaps").is_visible()
    assert page.locator("#context").inner_text().startswith("About the Monarch in your photo")
    page.locator(".thumbnail").nth(1).click()
    page.wait_for_selector("#facts-perhaps:not([hidden])")
    assert page.locator("#context").inner_text().startswith("About the Monarch that your photo perhaps shows")


def test_a_sighting_begins_with_a_name_only_where_that_is_sure(page: Any) -> None:
    give_all(page)
    for place, name in enumerate(("Monarch", "", "")):
        page.locator(".thumbnail").nth(place).click()
        page.click("#log-add")
        page.wait_for_selector("#log-form:not([hidden])")
        # The form is filled in once the photo's date is read.
        page.wait_for_function("name => document.getElementById('log-species').value === name", arg=name)
    page.click("#wrong")
    page.fill("#species", "Viceroy")
    page.click("#correction button")
    page.wait_for_selector("#thanks:not([hidden])")
    page.click("#log-add")
    page.wait_for_function("document.getElementById('log-species').value === 'Viceroy'")


def test_a_question_leaves_the_box_when_it_is_sent_and_another_stays(page: Any) -> None:
    box = page.locator("#message")
    box.fill("What is a moth?")
    box.press("Enter")
    assert box.input_value() == ""
    page.wait_for_selector("#send:enabled")
    box.fill("Half a quest")
    page.locator("#suggestions .chip").first.click()
    page.wait_for_selector("#send:enabled")
    assert box.input_value() == "Half a quest"
    offered = page.locator("#suggestions .chip").all_inner_texts()
    assert box.get_attribute("placeholder") not in offered
