"""The page as visitors use it, in a real browser, on a network that was trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from butterflyer_jax.app.feedback import FeedbackStore
from tests.helpers import drawn_run
from tests.helpers.app_process import Running, start

pytestmark = pytest.mark.browser

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("app")
    run = drawn_run.train(folder)
    # A program is compiled for each size of a batch up to this one.
    with start(folder, "--run", run, "--keep_photos", folder / "kept", "--max_batch", 4) as service:
        yield service


@pytest.fixture
def visit(running: Running, browser: Any) -> Iterator[Any]:
    """Opens the page again; any complaint of the browser fails the test, except that about the invalid picture."""
    contexts, complaints = [], []

    def open_page(viewport: dict[str, int], **options: Any) -> Any:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(running.url)
        page.wait_for_selector(".chip")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 422" not in text] == []


def upload(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def identified(page: Any) -> str:
    """Waits for the answer to the picture that is shown; returns its heading."""
    page.wait_for_selector(".verdict.named, .verdict.unsure, .verdict.none, .verdict.failed")
    return page.locator("#name").inner_text()


def ask(page: Any, question: str) -> Any:
    """Returns the bubble that answers."""
    count = page.locator(".bubble.assistant").count()
    page.fill("#message", question)
    page.press("#message", "Enter")
    bubble = page.locator(".bubble.assistant").nth(count)
    bubble.wait_for()
    page.wait_for_selector("#send:enabled")
    return bubble


def test_a_visitor_names_asks_and_corrects(visit: Any, running: Running) -> None:
    page = visit(WIDE)
    photo = drawn_run.draw("Monarch", 1001, 640, 480)
    page.set_input_files("#choose", [upload("holiday.jpg", photo)])
    assert identified(page) == "Monarch"
    assert "% sure" in page.locator("#sure").inner_text()
    assert page.locator("#ranking li").count() == 4
    assert not page.locator("#heat").is_visible()
    page.check("#heat-shown")
    page.wait_for_selector("#heat:not([hidden])")

    page.wait_for_selector("#facts:not([hidden])")
    assert page.locator("#facts-about").inner_text() == "Danaus plexippus"
    assert "its caterpillars" in page.locator("#suggestions").inner_text()
    page.click("#facts-more summary")
    assert "milkweed" in page.locator("#facts-more dl").inner_text().lower()
    assert page.locator("#facts-first sup a").first.get_attribute("href").startswith("https://")

    # It is understood from the picture what "its" means, and each answer says where it stands.
    answer = ask(page, "What do its caterpillars eat?")
    assert "milkweed" in answer.inner_text().lower()
    assert answer.locator(".sources a").first.get_attribute("href").startswith("https://")
    answer = ask(page, "And how big does it get?")
    assert "mm" in answer.inner_text()
    assert answer.locator("sup a").count() >= 1
    assert "English" in ask(page, "Wie groß ist die Spannweite?").inner_text()
    answer = ask(page, "<img src=x onerror=alert(1)> Who won the world cup?")
    assert "I do not know" in answer.inner_text()
    assert answer.locator(".sources").count() == 0
    assert page.locator("#talk img").count() == 0

    page.click("#wrong")
    page.fill("#species", "zebra longwing")
    page.click("#correction button")
    page.wait_for_selector("#thanks:not([hidden])")
    assert "Zebra Longwing" in page.locator("#thanks").inner_text()
    with closing(FeedbackStore(running.log.parent / "feedback.sqlite")) as store:
        assert [row[1:] for row in store.labels()] == [("holiday.jpg", "Zebra Longwing")]
    [kept] = (running.log.parent / "kept").iterdir()
    assert kept.read_bytes() == photo


def test_many_pictures_at_once_and_what_is_none(visit: Any) -> None:
    page = visit(WIDE)
    page.set_input_files(
        "#choose",
        [
            upload("unknown.jpg", drawn_run.draw("Freckled Pardine", 1001, 640, 480)),
            upload("other.jpg", drawn_run.draw("Amber Lanternwing", 1005, 640, 480)),
            upload("broken.jpg", drawn_run.draw("Monarch", 1002)[:2000]),
            *(upload(f"{number}.jpg", drawn_run.draw("Zebra Longwing", 1000 + number)) for number in range(5)),
        ],
    )
    page.wait_for_selector("#strip:not(:has(.mark.waiting))")
    marks = page.locator(".mark").all_inner_texts()
    assert marks[:3] == ["Freckled Pardine", "not in my list", "not read"]
    assert marks[3:].count("Zebra Longwing") >= 4
    # A species that the knowledge base has not: said so, and the chat too.
    assert identified(page) == "Freckled Pardine"
    page.wait_for_selector("#facts:not([hidden])")
    assert "Nothing is known here" in page.locator("#facts").inner_text()
    # Questions are offered only where they are answered.
    assert "its" not in page.locator("#suggestions").inner_text()
    assert "Freckled Pardine" in ask(page, "What do its caterpillars eat?").inner_text()
    page.locator(".thumbnail").nth(1).click()
    assert identified(page) == "This looks like no butterfly I know"
    assert "a photo unlike those I learned from. The nearest is" in page.locator("#sure").inner_text()
    assert not page.locator("#facts").is_visible()
    page.locator(".thumbnail").nth(2).click()
    assert identified(page) == "It cannot be read"
    assert "damaged" in page.locator("#sure").inner_text()
    assert not page.locator("#feedback").is_visible()


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(visit: Any, event: str) -> None:
    page = visit(WIDE)
    page.evaluate(
        """([event, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "a.jpg", { type: "image/jpeg" }));
            const made = event === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
            document.body.dispatchEvent(made);
        }""",
        [event, list(drawn_run.draw("Giant Swallowtail", 1000, 640, 480))],
    )
    assert identified(page) == "Giant Swallowtail"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_it_without_scrolling_sideways(visit: Any, scheme: str) -> None:
    page = visit(PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    page.set_input_files("#camera", upload("image.jpg", drawn_run.draw("Zebra Longwing", 1003, 480, 640)))
    assert identified(page) == "Zebra Longwing"
    page.wait_for_selector("#facts:not([hidden])")
    ask(page, "Where and when does it fly?")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
