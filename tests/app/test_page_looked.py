"""Which part of a photo is looked at: the page in a real browser, on a network that is none."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.helpers.app_parts import GREEN, GREY, ORANGE, half, picture, with_square
from tests.helpers.browser import give

pytestmark = pytest.mark.browser


def test_a_part_is_chosen_by_dragging_and_the_part_that_is_seen_is_outlined(page: Any) -> None:
    give(page, half(GREEN, ORANGE))
    page.wait_for_selector(".verdict:not(.waiting)")
    photo, outline = (page.locator(name).bounding_box() for name in ("#photo", "#seen"))
    assert outline["width"] == pytest.approx(0.8 * photo["height"], abs=0.5)
    page.click("#crop")
    x, y, width, height = (photo[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.6 * width, y + 0.1 * height)
    page.mouse.down()
    page.mouse.move(x + 0.9 * width, y + 0.7 * height, steps=3)
    page.mouse.up()
    page.click("#crop-done")
    page.wait_for_selector(".verdict.named")
    assert page.locator("#name").inner_text() == "Monarch"
    outline = page.locator("#seen").bounding_box()
    assert outline["x"] > x + 0.55 * width
    assert outline["width"] == pytest.approx(0.8 * 0.6 * height, abs=1)
    # The same without a mouse; and it outlives a reload.
    page.click("#crop")
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict.named:has-text('Green Unknown')")
    page.reload()
    page.wait_for_selector(".verdict.named:has-text('Green Unknown')")
    assert page.locator("#seen").bounding_box()["x"] < x + 0.1 * width
    page.click("#crop-whole")
    page.wait_for_selector("#crop-whole[hidden]", state="attached")


@pytest.mark.parametrize(("size", "orientation"), [((900, 60), 1), ((900, 60), 6), ((48, 60), 6)])
def test_the_heat_map_lies_over_the_square_that_was_seen(page: Any, size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", size, ORANGE).save(buffer, "JPEG", exif=exif)
    give(page, buffer.getvalue(), name="a" * 150 + ".jpg")
    page.wait_for_selector(".verdict.named")
    page.check("#heat-shown")
    page.wait_for_selector("#heat:not([hidden])")
    photo, heat = (page.locator(name).bounding_box() for name in ("#photo", "#heat"))
    width, height = size if orientation == 1 else size[::-1]
    assert photo["width"] / photo["height"] == pytest.approx(width / height, rel=0.05)
    side = 0.8 * min(photo["width"], photo["height"])
    assert (heat["width"], heat["height"]) == pytest.approx((side, side), abs=0.5)
    for start, length in (("x", "width"), ("y", "height")):
        assert heat[start] - photo[start] == pytest.approx((photo[length] - side) / 2, abs=0.5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_each_photo_shows_where_it_looked_while_that_is_wanted(page: Any) -> None:
    give(page, picture(ORANGE), picture(GREEN), picture(GREY))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    page.check("#heat-shown")
    page.wait_for_selector("#heat:not([hidden])")
    page.locator(".thumbnail").nth(2).click()
    page.wait_for_selector("#heat[hidden]", state="attached")
    page.locator(".thumbnail").nth(1).click()
    page.wait_for_selector("#heat:not([hidden])")


def test_a_photo_is_searched_where_the_visitor_wants_it(page: Any) -> None:
    page.set_input_files("#choose", [{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"none"}])
    page.wait_for_selector("text=Only photos can be named, and notes.txt is not one.")
    give(page, with_square(ORANGE))
    page.wait_for_selector(".verdict.none")
    assert page.locator("#question").inner_text() == "Do you know what it is?"
    assert page.locator("#wrong").inner_text() == "It is a …"
    assert not page.is_checked("#search")
    assert not page.is_visible("#search-help")
    page.check("#search")
    page.wait_for_selector(".verdict.named:has-text('Monarch')")
    assert page.locator("#wrong").inner_text() == "No, it is really a …"
    assert "not been shown to name more" in page.locator("#search-help").inner_text()
    photo, outline = (page.locator(name).bounding_box() for name in ("#photo", "#seen"))
    assert outline["width"] < 0.5 * photo["height"]
    assert outline["x"] < photo["x"] + 0.1 * photo["width"]
    # The heat map is that of the part; and it outlives a reload.
    page.check("#heat-shown")
    page.wait_for_selector("#heat:not([hidden])")
    assert page.locator("#heat").bounding_box() == pytest.approx(outline)
    page.reload()
    page.wait_for_selector(".verdict.named:has-text('Monarch')")
    page.uncheck("#search")
    page.wait_for_selector(".verdict.none")
