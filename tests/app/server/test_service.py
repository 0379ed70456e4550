"""What the service answers to pictures, about species, and to feedback."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from butterflyer_jax.app.feedback import FeedbackStore, KeptPhotos
from butterflyer_jax.app.identify import Identifier
from butterflyer_jax.app.knowledge import base
from butterflyer_jax.app.server.service import create_service
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.metrics.ranks import Rank, Ranks
from tests.helpers.app_parts import DIM, GREEN, GREY, ORANGE, SPECIES, Colours, make_examples, make_parts, picture
from tests.helpers.chat_questions import HERE, predict, scope_of


def test_a_picture_is_named(ask: Any) -> None:
    answer = predict(ask(), picture(ORANGE, kind="JPEG")).json()
    assert answer["verdict"] == "named"
    assert answer["species"] == "Monarch"
    assert answer["probability"] > 0.99
    assert answer["sha256"] == hashlib.sha256(picture(ORANGE, kind="JPEG")).hexdigest()
    assert answer["top5"][0] == {"species": "Monarch", "probability": answer["probability"]}
    assert answer["probabilities"].keys() == set(SPECIES)
    assert "heat_map" not in answer


@pytest.mark.parametrize(("colour", "verdict"), [(DIM, "unsure"), (GREY, "none"), (GREEN, "named")])
def test_what_is_less_sure_is_said_so(ask: Any, colour: tuple[int, int, int], verdict: str) -> None:
    assert predict(ask(), picture(colour)).json()["verdict"] == verdict


def test_a_family_is_named_where_the_species_is_not_sure(ask: Any) -> None:
    class Ranked(Colours):
        ranks = Ranks(
            (Rank("species", SPECIES, 0.8), Rank("family", ("Nymphalidae", "", "Nymphalidae"), 0.8)), 0.95, 50, 1
        )

    app = ask(identifier=Identifier(Ranked()))
    # Red and blue: one of the two that have a family.
    answer = predict(app, picture((160, 20, 140))).json()
    assert answer["verdict"] == "higher" and answer["species"] == "Monarch"
    assert answer["answer"]["rank"] == "family" and answer["answer"]["name"] == "Nymphalidae"
    assert answer["answer"]["probability"] > 0.8 > answer["probability"]
    assert answer["answer"]["text"] == "a brush-footed butterfly, perhaps a Monarch"
    assert predict(app, picture(ORANGE)).json()["answer"]["text"] == "a Monarch"
    assert predict(app, picture((150, 140, 100))).json()["answer"]["text"] == "not sure, perhaps a Monarch"
    refused = predict(app, picture(GREY)).json()
    assert refused["verdict"] == "none" and refused["answer"]["rank"] is None


def test_a_heat_map_comes_when_it_is_asked_for(ask: Any) -> None:
    heat = predict(ask(), picture(), params={"heat_map": "true"}).json()["heat_map"]
    assert heat["crop_fraction"] == 0.8
    assert len(heat["values"]) == 7
    assert all(len(row) == 7 and all(0 <= value <= 1 for value in row) for row in heat["values"])


def test_an_export_has_no_heat_map(ask: Any) -> None:
    class Export(Colours):
        def heat_maps(self, images: Any, labels: Any) -> None:
            return None

    answer = predict(ask(identifier=Identifier(Export())), picture(), params={"heat_map": "true"}).json()
    assert answer["species"] == "Monarch"
    assert "heat_map" not in answer


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "not decodable"), (b"hello", "no image format"), (picture()[:60], "not decodable")],
)
def test_what_is_no_picture_is_said_so(ask: Any, data: bytes, reason: str) -> None:
    response = predict(ask(), data)
    assert response.status_code == 422
    assert reason in response.json()["error"]


def test_examples_are_served_by_names_that_never_change(ask: Any) -> None:
    client = ask(examples=make_examples())
    about = client.get("/api/about").json()
    assert [len(about["examples"][label]) for label in SPECIES] == [2, 0, 1]
    assert about["look_alikes"] == {"Monarch": ["Red Admiral"], "Green_Unknown": [], "Red Admiral": []}
    response = client.get(f"/api/examples/{about['examples']['Monarch'][0]}")
    assert (response.headers["content-type"], response.content) == ("image/jpeg", picture(ORANGE, kind="JPEG"))
    assert "immutable" in response.headers["cache-control"]
    assert client.get("/api/examples/other.jpg").status_code == 404


def test_a_run_without_examples_has_none(ask: Any) -> None:
    about = ask().get("/api/about").json()
    assert about["examples"] == about["look_alikes"] == {}


def test_limits_of_size_and_pixels(ask: Any) -> None:
    client = ask(settings=Settings(max_upload_bytes=3000, max_pixels=5000))
    assert predict(client, picture(size=(50, 100))).status_code == 200
    too_many = predict(client, picture(size=(101, 50)))
    assert too_many.status_code == 422
    assert "too large" in too_many.json()["error"]
    for size in (3001, 30_000):
        too_long = predict(client, bytes(size))
        assert too_long.status_code == 413, size
        assert "MiB" in too_long.json()["error"]

    def endless() -> Iterator[bytes]:
        # Without a length, and never a whole form.
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield bytes(1000)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/api/predict", content=endless(), headers=headers).status_code == 413


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"what"},
        {"data": {"file": "a text"}},
        {"files": {"other": ("a.png", b"x")}},
        {"files": [("file", ("a.png", b"x")), ("file", ("b.png", b"x"))]},
        {"content": b"--b\r\nbroken", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"--b\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=b"}},
    ],
)
def test_a_wrong_form_is_said_so(ask: Any, sent: dict[str, Any]) -> None:
    response = ask().post("/api/predict", **sent)
    assert response.status_code in (400, 422)
    assert response.json()["error"]


def test_concurrent_pictures_share_batches_and_get_their_own_answers(ask: Any) -> None:
    classifier = Colours()
    client = ask(identifier=Identifier(classifier))
    colours = [ORANGE, GREEN] * 20
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda colour: predict(client, picture(colour)).json()["species"], colours))
    assert answers == ["Monarch", "Green_Unknown"] * 20
    assert sum(classifier.batches) == 40
    assert len(classifier.batches) < 40


class Stuck(Colours):
    """Answers only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def probabilities(self, images: Any) -> Any:
        self.begun.set()
        assert self.go.wait(60)
        return super().probabilities(images)


def test_what_takes_too_long_is_given_up(ask: Any) -> None:
    stuck = Stuck()
    client = ask(settings=Settings(answer_seconds=0.5), identifier=Identifier(stuck))
    response = predict(client, picture())
    stuck.go.set()
    assert response.status_code == 504
    assert predict(client, picture()).status_code == 200


def test_more_than_can_wait_are_to_come_again(ask: Any) -> None:
    stuck = Stuck()
    client = ask(settings=Settings(max_waiting=1), identifier=Identifier(stuck))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(predict, client, picture())
        assert stuck.begun.wait(60)
        second = pool.submit(predict, client, picture())
        while "butterflyer_pictures_waiting 1.0" not in client.get("/metrics").text:
            assert not second.done()
        third = predict(client, picture())
        stuck.go.set()
        assert first.result().status_code == second.result().status_code == 200
    assert third.status_code == 503
    assert third.headers["retry-after"] == "2"


def test_who_sends_slowly_is_not_waited_for(tmp_path: Path) -> None:
    """As ASGI itself: a client of the tests sends all at once."""
    parts = make_parts(tmp_path, Settings(upload_seconds=0.05))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(create_service(parts)(scope_of("/api/predict"), receive, send))
    assert sent[0]["status"] == 408


def test_uploads_share_a_memory_that_is_given_back(ask: Any) -> None:
    stuck, data = Stuck(), picture(size=(40, 40), kind="BMP")
    client = ask(settings=Settings(max_memory_bytes=2 * len(data)), identifier=Identifier(stuck))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(predict, client, data)
        assert stuck.begun.wait(60)
        second = predict(client, data)
        stuck.go.set()
        assert first.result().status_code == 200
    assert second.status_code == 503
    assert second.json() == {"error": "too many uploads at once; try again"}
    # Refused or answered, what it took is free again.
    assert [predict(client, data).status_code for _ in range(3)] == [200, 200, 200]


def test_a_warm_up_compiles_every_batch_that_can_come() -> None:
    classifier = Colours()
    Identifier(classifier).warm_up(32)
    assert classifier.batches == [1, 2, 4, 8, 16, 32]


def test_species_are_reported_with_their_sources_or_as_unknown(ask: Any) -> None:
    client = ask()
    monarch = client.get("/api/species/Monarch").json()
    assert monarch["known"]
    assert monarch["scientific_name"] == "Danaus plexippus"
    assert [fact["kind"] for fact in monarch["facts"]] == list(base.KINDS)
    for fact in monarch["facts"] + monarch["look_alikes"]:
        assert fact["sources"]
        assert all(1 <= number <= len(monarch["sources"]) for number in fact["sources"])
    unknown = client.get("/api/species/Green_Unknown").json()
    assert unknown == {
        "known": False,
        "label": "Green_Unknown",
        "name": "Green_Unknown",
        "facts": [],
        "look_alikes": [],
        "sources": [],
    }
    assert client.get("/api/species/Danaus%20plexippus").status_code == 404


def test_feedback_is_kept(ask: Any, tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    client = TestClient(create_service(parts), base_url=HERE)
    fields = {"label": "Viceroy", "named": "Monarch", "probability": "0.93"}
    answer = client.post("/api/feedback", data=fields, files={"file": ("my monarch.png", picture())})
    assert answer.json() == {"sha256": hashlib.sha256(picture()).hexdigest()}
    assert parts.feedback.labels() == [(answer.json()["sha256"], "my monarch.png", "Viceroy")]
    for wrong in (
        {"label": ""},
        {"named": "nobody"},
        {"probability": "2"},
        {"probability": "nan"},
        {"probability": "x"},
    ):
        response = client.post("/api/feedback", data=fields | wrong, files={"file": ("a.png", picture())})
        assert response.status_code == 422, wrong
    assert len(parts.feedback.labels()) == 1


@pytest.mark.parametrize("kept", [False, True])
def test_feedback_that_cannot_be_kept_is_said_so(
    tmp_path: Path, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = KeptPhotos(tmp_path / "kept", 10**6) if kept else None
    store = FeedbackStore(tmp_path / "f.sqlite", photos)
    with closing(sqlite3.connect(tmp_path / "f.sqlite")) as other:
        if photos:
            photos.folder.rmdir()
        else:
            other.execute("DROP TABLE feedback")
    with TestClient(create_service(make_parts(tmp_path, feedback=store)), base_url=HERE) as client:
        sent = {"data": {"label": "Viceroy"}, "files": {"file": ("a.png", picture())}}
        response = client.post("/api/feedback", **sent)
        assert response.status_code == 503
        assert response.json() == {"error": "feedback cannot be kept now; try again later"}
        assert response.headers["retry-after"] == "60"
        assert predict(client, picture()).status_code == 200
    assert '"failed": "feedback"' in capsys.readouterr().err


def test_no_upload_is_written(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file on the disk")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = picture(size=(1500, 1500), kind="BMP")
    assert len(large) > 6 << 20
    assert predict(ask(), large).status_code == 200
