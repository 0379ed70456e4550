"""Photos that are searched for a small butterfly, and what others wait for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from butterflyer_jax.app.identify import Identifier
from butterflyer_jax.app.settings import Settings
from tests.helpers.app_parts import GREEN, ORANGE, Colours, picture, with_square
from tests.helpers.chat_questions import predict


def test_a_small_butterfly_is_searched_for(ask: Any) -> None:
    client, photo = ask(), with_square(ORANGE)
    plain = predict(client, photo).json()
    assert plain["verdict"] == "none" and "part" not in plain
    found = predict(client, photo, params={"search": "true", "heat_map": "true"}).json()
    assert found["verdict"] == "named" and found["species"] == "Monarch" and "heat_map" in found
    left, top, right, bottom = found["part"]
    assert 0 <= left < 5 / 240 and 0 <= top < 5 / 160 and 45 / 240 < right < 0.5 and 45 / 160 < bottom < 0.5
    # What is typical in its middle stays what it is.
    assert predict(client, picture(), params={"search": "true"}).json()["species"] == "Monarch"
    assert client.get("/api/about").json()["searches"]
    assert predict(client, b"what", params={"search": "true"}).status_code == 422


def test_a_model_without_typicality_does_not_search(ask: Any) -> None:
    class Untypical(Colours):
        has_typicality = False

    client = ask(identifier=Identifier(Untypical()))
    assert not client.get("/api/about").json()["searches"]
    response = predict(client, picture(), params={"search": "true"})
    assert response.status_code == 422 and "no typicality" in response.json()["error"]


class Slow(Colours):
    """Notes what it does; the first step of a search takes as long as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def classify(self, images: Any) -> Any:
        self.done.append("photo")
        return super().classify(images)

    def excess(self, images: Any) -> Any:
        assert len(images) <= 8
        self.begun.set()
        assert self.go.wait(60)
        self.done.append("step")
        return super().excess(images)


def test_others_wait_for_a_step_of_a_search_alone(ask: Any) -> None:
    slow = Slow()
    client = ask(settings=Settings(max_searches=1), identifier=Identifier(slow))
    with ThreadPoolExecutor(2) as pool:
        search = pool.submit(predict, client, with_square(ORANGE), params={"search": "true"})
        assert slow.begun.wait(60)
        other = pool.submit(predict, client, picture(GREEN))
        while "butterflyer_pictures_waiting 1.0" not in client.get("/metrics").text:
            assert not other.done()
        another = predict(client, picture(), params={"search": "true"})
        slow.go.set()
        assert other.result().json()["species"] == "Green_Unknown"
        assert search.result().json()["species"] == "Monarch"
    assert another.status_code == 503
    assert slow.done.count("step") > 4
    assert slow.done.index("photo") <= 2
