"""The page on a bad line, on odd pictures, without a mouse; in a real browser, on a network that is none."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from butterflyer_jax.app.server.service import Parts
from tests.helpers.app_parts import DIM, GREEN, GREY, ORANGE, picture
from tests.helpers.browser import give

pytestmark = pytest.mark.browser


def refuse_once(page: Any, path: str, status: int, wait: str = "1") -> list[str]:
    """Answers the first request so; returns where each one is noted."""
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.fallback()
        elif status:
            route.fulfill(status=status, headers={"retry-after": wait}, json={"error": "wait a moment"})
        else:
            route.abort()

    page.route(f"**/{path}*", answer)
    return asked


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again(page: Any, status: int) -> None:
    asked = refuse_once(page, "api/predict", status, "0.1")
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.named")
    assert len(asked) == 2


def test_a_lost_connection_can_be_tried_again(page: Any) -> None:
    refuse_once(page, "api/predict", 0)
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.failed")
    assert page.locator("#verdict").inner_text().split("\n")[0] == "No answer"
    page.click("#again")
    page.wait_for_selector(".verdict.named")
    assert not page.locator("#again").is_visible()


def test_another_photo_while_an_answer_comes(page: Any, parts: Parts) -> None:
    give(page, picture(ORANGE), picture(GREEN))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    held: list[Any] = []
    page.route("**/api/chat", lambda route: held.append(route) if not held else route.fallback())
    page.fill("#message", "about the first")
    page.press("#message", "Enter")
    page.wait_for_selector(".bubble.waiting")
    page.locator(".thumbnail").nth(1).click()
    while not held:
        # The handler of the route runs while the page is waited for.
        page.wait_for_timeout(10)
    held[0].fallback()
    page.wait_for_selector("#send:enabled")
    page.fill("#message", "about the second")
    with page.expect_request("**/api/chat") as request:
        page.press("#message", "Enter")
    assert [said["text"] for said in request.value.post_data_json["messages"]] == ["about the second"]


def test_feedback_is_sent_once_and_keeps_the_focus(page: Any, parts: Parts) -> None:
    sent: list[Any] = []
    page.route("**/api/feedback", lambda route: sent.append(route))
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.named")
    page.evaluate("document.getElementById('right').click(); document.getElementById('right').click()")
    page.wait_for_selector("#right:disabled")
    assert len(sent) == 1
    sent[0].fallback()
    page.wait_for_selector("#thanks:focus")
    assert "Noted as Monarch" in page.locator("#thanks").inner_text()


def test_an_answer_stands_beside_photos_of_what_it_is_confused_with(page: Any) -> None:
    assert page.locator("#list summary").inner_text() == "It knows 3 species, and no others"
    assert page.locator("#list li").all_inner_texts() == ["Monarch", "Green Unknown", "Red Admiral"]
    assert page.locator("#list img").count() == 2
    give(page, picture(ORANGE))
    page.wait_for_selector("#compare:not([hidden])")
    assert page.locator("#compared h4").all_inner_texts() == ["Monarch", "Red Admiral"]
    assert "confused with Red Admiral" in page.locator("#compare-note").inner_text()
    page.locator("#compared img").evaluate_all("(images) => Promise.all(images.map((image) => image.decode()))")
    page.locator("#compared .example").nth(2).click()
    assert page.locator("#enlarged p").inner_text() == "Red Admiral"
    page.keyboard.press("Escape")
    # Nothing is named, or the run keeps no photo of what is.
    for colour in (GREY, GREEN):
        give(page, picture(colour))
        page.wait_for_selector("#compare[hidden]", state="attached")


def test_several_photos_are_one_animal_where_the_visitor_says_so(page: Any) -> None:
    give(page, picture(ORANGE), picture(DIM), picture(GREY))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    assert page.locator(".mark").all_inner_texts() == ["Monarch", "not sure\nMonarch", "not in my list"]
    assert not page.locator("#one-animal").is_checked()
    page.check("text=These 3 photos show one animal")
    # One of them looks like none of the species: that keeps it from being sure.
    page.wait_for_selector("#name:text-is('Not sure. Perhaps Monarch?')")
    page.wait_for_selector("#sure:has-text('from 3 photos taken as one animal. 1 of them looks like no')")
    page.reload()
    page.wait_for_selector(".verdict.unsure")
    page.uncheck("#one-animal")
    page.wait_for_selector("#name:text-is('This looks like no butterfly I know')")
    assert page.locator(".mark").all_inner_texts() == ["Monarch", "not sure\nMonarch", "not in my list"]
    # Given one after another, as a camera does: with the one before.
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.named")
    page.locator(".thumbnail").nth(1).click()
    page.check("text=The same animal as in the previous photo")
    page.wait_for_selector("#name:text-is('Monarch')")
    page.wait_for_selector("#sure:has-text('from 2 photos')")


def large_photo() -> bytes:
    """Returns a JPEG of some megabytes, as telephones make them, that lies on its side."""
    noise = np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    Image.blend(Image.fromarray(noise), Image.new("RGB", (2000, 1500), ORANGE), 0.8).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_a_large_photo_is_scaled_and_named_over_3g(page: Any) -> None:
    # Bytes a second and milliseconds, as browsers imitate a slow 3G network.
    line = {"offline": False, "latency": 300, "downloadThroughput": 200_000, "uploadThroughput": 94_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)
    give(page, large_photo(), name="a.jpg")
    page.wait_for_selector(".verdict.named")
    size = """async () => {
        const kept = await new Promise((resolve) => {
            const request = indexedDB.open("butterflyer");
            request.onsuccess = () => {
                const all = request.result.transaction("photographs").objectStore("photographs").getAll();
                all.onsuccess = () => resolve(all.result);
            };
        });
        const bitmap = await createImageBitmap(kept[0].blob);
        return [bitmap.width, bitmap.height];
    }"""
    assert page.evaluate(size) == [768, 1024]


def test_a_reload_keeps_photos_and_answers(page: Any) -> None:
    give(page, picture(ORANGE), picture(GREEN))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    page.route("**/api/predict*", lambda route: route.abort())
    page.reload()
    page.wait_for_selector(".verdict.named")
    assert page.locator(".thumbnail").count() == 2
    page.click("#forget")
    page.wait_for_selector("#result[hidden]", state="attached")
    assert page.locator(".thumbnail").count() == 0


def test_what_waits_for_a_network_is_sent_by_itself(page: Any) -> None:
    page.context.set_offline(True)
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.failed")
    assert "when the network is back" in page.locator("#sure").inner_text()
    page.context.set_offline(False)
    page.wait_for_selector(".verdict.named")


def test_a_sighting_is_kept_and_exported(page: Any) -> None:
    give(page, picture(ORANGE))
    page.wait_for_selector(".verdict.named")
    page.click("#log-add")
    page.fill("#log-date", "2026-05-01")
    page.fill("#log-note", '=1+1, "here"')
    page.click("#log-form button")
    page.wait_for_selector("#log:not([hidden])")
    page.reload()
    page.wait_for_selector("#log:not([hidden])")
    page.click("#log-count")
    with page.expect_download() as download:
        page.click("#log-dwc")
    header, row = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert header.startswith("occurrenceID,basisOfRecord,eventDate,scientificName")
    assert "HumanObservation,2026-05-01,Danaus plexippus,Monarch," in row
    assert row.endswith('"\'=1+1, ""here"""')


def test_the_drawn_example_can_be_tried(page: Any) -> None:
    page.click("#example")
    page.wait_for_selector(".verdict:not(.waiting)")
    assert page.locator("#filename").inner_text() == "example.jpg"


def test_markdown_of_a_model_is_shown_and_its_html_is_not_read(page: Any) -> None:
    text = "**Bold** and *thin*\n\n- one <img src=x onerror=alert(1)>\n- two\n\n[a](javascript:alert(1))"
    events: list[dict[str, Any]] = [
        {"text": text},
        {"more": "The rest."},
        {"suggestions": ["Do <b>moths</b> bite?", "Do they sting?"]},
        {"done": True},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    page.route("**/api/chat", lambda route: route.fulfill(body=body, headers={"content-type": "text/event-stream"}))
    page.fill("#message", "a")
    page.press("#message", "Enter")
    page.wait_for_selector(".words.rendered li")
    assert page.locator(".bubble.assistant strong").inner_text() == "Bold"
    assert page.locator(".bubble.assistant li").count() == 2
    assert page.locator(".bubble.assistant :is(img, a, b)").count() == 0
    page.click(".folded summary")
    assert page.locator(".folded p").inner_text() == "The rest."
    # The questions that may be meant come next with the keyboard, and one that is chosen is asked.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Do <b>moths</b> bite?"
    with page.expect_request("**/api/chat") as request:
        page.keyboard.press("Enter")
    assert request.value.post_data_json["messages"][-1] == {"role": "user", "text": "Do <b>moths</b> bite?"}
    page.locator(".bubble.assistant .meant").nth(1).wait_for()


def test_of_many_photos_the_chosen_one_stays_in_sight(page: Any) -> None:
    give(page, *(picture((240, n, 10)) for n in range(30)))
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    assert page.locator("#count").inner_text() == "30 photos"
    assert page.locator(".thumbnail").first.bounding_box()["height"] > 100
    assert page.locator("#photo").bounding_box()["y"] < 844


def test_a_kind_that_the_browser_does_not_show(page: Any) -> None:
    give(page, picture(ORANGE), picture(ORANGE, kind="TIFF"), b"\0\0\0\x18ftypheic", name="a.tif")
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    page.locator(".thumbnail").nth(1).click()
    page.wait_for_selector("#figure.unshown")
    assert page.locator("#name").inner_text() == "Monarch"
    assert not page.locator("#heat-switch").is_visible()
    assert "1a.tif" in page.locator(".thumbnail").nth(1).inner_text()
    page.locator(".thumbnail").nth(2).click()
    assert "HEIC" in page.locator("#sure").inner_text()
