"""Who may ask and how often, and what is reported of it: passwords, origins, rates, errors, metrics, logs."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from butterflyer_jax.app.identify import Identifier
from butterflyer_jax.app.logs import log_as_json
from butterflyer_jax.app.server import passwords
from butterflyer_jax.app.server.forwarded import Forwarded
from butterflyer_jax.app.server.service import create_service
from butterflyer_jax.app.settings import Settings
from tests.helpers.app_parts import Colours, make_parts, picture
from tests.helpers.chat_questions import HERE, QUESTION, predict, scope_of


def test_the_page_and_its_parts_come_from_here_alone(ask: Any) -> None:
    client = ask()
    page = client.get("/")
    assert page.status_code == 200
    assert "<!DOCTYPE html>" in page.text
    for name in ("app.css", "app.js", "chat.js", "common.js", "facts.js", "pictures.js", "icon.svg"):
        assert client.get(f"/{name}").status_code == 200, name
    assert "'unsafe" not in page.headers["content-security-policy"]
    assert "http" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert client.get("/../pyproject.toml").status_code == 404


def test_every_error_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Colours):
        def probabilities(self, images: Any) -> Any:
            raise RuntimeError("key=secret")

    service = create_service(make_parts(tmp_path, identifier=Identifier(Broken())))
    client = TestClient(service, base_url=HERE, raise_server_exceptions=False)
    for status, response in (
        (404, client.get("/nothing")),
        (404, client.get("/health/")),
        (405, client.post("/health")),
        (405, client.options("/api/predict")),
        (422, predict(client, picture(), params={"heat_map": "perhaps"})),
        (500, predict(client, picture())),
    ):
        assert response.status_code == status
        assert list(response.json()) == ["error"]
        assert "secret" not in response.text
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["status"], line["error"]) == (500, "RuntimeError")
    assert Path(__file__).name in line["place"]


def test_who_leaves_while_sending_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # As ASGI itself: a client of the tests sends all.
    messages: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        pass

    for path in ("/api/predict", "/api/feedback", "/api/chat"):
        messages = [{"type": "http.request", "body": b"--b", "more_body": True}, {"type": "http.disconnect"}]
        asyncio.run(create_service(make_parts(tmp_path))(scope_of(path), receive, send))
        assert json.loads(capsys.readouterr().err)["status"] == 499, path


def test_head_is_answered_as_get_is(tmp_path: Path) -> None:
    client = TestClient(create_service(make_parts(tmp_path)), base_url=HERE)
    for path in ("/", "/health", "/api/about"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.headers["content-type"]) == (200, get.headers["content-type"])
    client.request("BREW", "/health")
    metrics = client.get("/metrics").text
    assert 'butterflyer_requests_total{method="HEAD",route="/health",status="200"} 1.0' in metrics
    assert 'butterflyer_requests_total{method="other",route="/health",status="405"} 1.0' in metrics
    assert "BREW" not in metrics


def test_rates_are_each_clients_own(tmp_path: Path) -> None:
    service = create_service(make_parts(tmp_path, Settings(pictures_per_minute=2, messages_per_minute=1)))
    one, other = (TestClient(service, base_url=HERE, client=(host, 1)) for host in ("127.0.0.1", "127.0.0.2"))
    assert [predict(one, picture()).status_code for _ in range(3)] == [200, 200, 429]
    assert predict(other, picture()).status_code == 200
    assert [one.post("/api/chat", json=QUESTION).status_code for _ in range(2)] == [200, 429]
    assert one.get("/api/about").status_code == 200
    # Of IPv6 a network is one client.
    hosts = [TestClient(service, base_url=HERE, client=(f"2001:db8::{n}", 1)) for n in range(3)]
    assert [predict(client, picture()).status_code for client in hosts] == [200, 200, 429]


def test_a_password_is_asked_for(ask: Any) -> None:
    client = ask(password="correct horse")
    basic = base64.b64encode(b"anyone:correct horse").decode()
    for right in (f"Basic {basic}", "Bearer correct horse"):
        assert client.get("/", headers={"authorization": right, "host": "butterflies.example"}).status_code == 200
    client.cookies.clear()
    wrong = [None, "Bearer", "Bearer wrong", "Basic ???", "Basic " + base64.b64encode(b"a:b").decode(), "Digest x"]
    for header in wrong:
        refused = client.get("/api/about", headers={"authorization": header} if header else {})
        assert refused.status_code == 401, header
        assert refused.headers["www-authenticate"].startswith("Basic")
    assert client.get("/health").json()["status"] == "ok"
    assert client.get("/metrics").status_code == 401


def test_wrong_passwords_slow_an_address_down_and_lock_nobody_out(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    monkeypatch.setattr(passwords.asyncio, "sleep", sleep)
    client = ask(password="correct horse")
    basic = "Basic " + base64.b64encode(b"pupil:correct horse").decode()
    first = client.get("/", headers={"authorization": basic})
    assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
    client.cookies.clear()
    for _ in range(20):
        assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert delays == []
    # Another pupil behind the same address gets in, after a delay; who is in already waits for nothing.
    assert client.get("/", headers={"authorization": basic}).status_code == 200
    assert delays == [Settings().password_seconds]
    assert client.get("/api/about").status_code == 200
    assert len(delays) == 1
    client.cookies.clear()
    for cookie in ("butterflyer=guess", "butterflyer=", '"', "butterflyer=ä"):
        assert client.get("/api/about", headers={b"cookie": cookie.encode()}).status_code == 401, cookie


def test_few_passwords_of_an_address_that_guesses_are_checked_at_once() -> None:
    async def guess() -> list[Any]:
        gate = passwords.Passwords("correct horse", 0.05)
        wrong = {"authorization": "Bearer wrong"}
        for _ in range(20):
            assert not await gate.admits(wrong, "a")
        return await asyncio.gather(*(gate.admits(wrong, "a") for _ in range(30)), return_exceptions=True)

    results = asyncio.run(guess())
    assert results.count(False) == passwords.MAX_WAITING
    assert sum(isinstance(result, passwords.TooManyError) for result in results) == 30 - passwords.MAX_WAITING


def test_health_answers_when_nothing_else_does(ask: Any) -> None:
    client = ask(settings=Settings(max_requests=0))
    refused = client.get("/api/about")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert client.get("/health").status_code == 200
    assert ask(settings=Settings(max_requests_of_one=0)).get("/").status_code == 503


def test_a_browser_behind_a_proxy_that_says_nothing_is_believed_by_its_own_word(ask: Any) -> None:
    client = ask(password="correct horse")
    client.headers["authorization"] = "Bearer correct horse"
    origin = {"origin": "https://butterflies.example"}
    assert predict(client, picture(), headers=origin).status_code == 403
    assert predict(client, picture(), headers={**origin, "sec-fetch-site": "same-origin"}).status_code == 200
    for site in ("cross-site", "same-site"):
        crossing = {"origin": HERE, "sec-fetch-site": site}
        assert predict(client, picture(), headers=crossing).status_code == 403
        # A form of another site that is sent in a window of its own.
        assert predict(client, picture(), headers={**crossing, "sec-fetch-mode": "navigate"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200


def test_the_host_that_a_trusted_proxy_names_counts(tmp_path: Path) -> None:
    service = Forwarded(create_service(make_parts(tmp_path, password="correct horse")), "10.0.0.1")
    headers = {
        "authorization": "Basic " + base64.b64encode(b"a:correct horse").decode(),
        "origin": "https://butterflies.example",
        "x-forwarded-host": "butterflies.example",
        "x-forwarded-proto": "https",
        "x-forwarded-for": "203.0.113.7",
    }
    through, direct = (TestClient(service, base_url=HERE, client=(host, 1)) for host in ("10.0.0.1", "10.0.0.2"))
    answer = predict(through, picture(), headers=headers)
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].endswith("; Secure")
    assert predict(direct, picture(), headers=headers).status_code == 403


def test_what_libraries_log_is_json_without_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        log_as_json()
        logging.getLogger("python_multipart.multipart").warning("Skipping data after last boundary: %s", "secret")
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = handlers, level
    line = json.loads(capsys.readouterr().err)
    assert (line["logger"], line["level"]) == ("python_multipart.multipart", "WARNING")
    assert "secret" not in json.dumps(line)


def test_a_password_may_have_any_letters(ask: Any) -> None:
    client = ask(password="Bläuling 🦋")
    for right in (b"Basic " + base64.b64encode("me:Bläuling 🦋".encode()), "Bearer Bläuling 🦋".encode()):
        assert client.get("/api/about", headers={b"authorization": right}).status_code == 200


def test_pages_of_other_sites_are_refused(ask: Any) -> None:
    client = ask()
    assert predict(client, picture(), headers={"origin": "https://evil.example"}).status_code == 403
    for origin in ("null", "http://[", "", HERE + "@evil.example", HERE.replace("7860", "7861")):
        assert predict(client, picture(), headers={"origin": origin}).status_code == 403, origin
    assert predict(client, picture(), headers={"origin": HERE}).status_code == 200
    # A name that was made to point here.
    assert client.get("/", headers={"host": "evil.example:7860"}).status_code == 421
    for name in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert client.get("/", headers={"host": name}).status_code == 200


def test_metrics_and_logs_hold_neither_pictures_nor_words(ask: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client = ask(password="correct horse")
    client.headers["authorization"] = "Bearer correct horse"
    predict(client, picture(), name="my secret garden.png")
    predict(client, b"", name="my secret garden.png")
    client.post("/api/chat", json={"messages": [{"role": "user", "text": "my secret garden"}]})
    client.get("/my%20secret%20garden?my=secret")
    text = client.get("/metrics").text
    assert 'butterflyer_requests_total{method="POST",route="/api/predict",status="200"} 1.0' in text
    assert 'butterflyer_pictures_total{verdict="unreadable"} 1.0' in text
    assert 'butterflyer_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert "butterflyer_batch_size_sum 1.0" in text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/api/predict", 200),
        ("POST", "/api/predict", 422),
        ("POST", "/api/chat", 200),
        ("GET", "other", 404),
        ("GET", "/metrics", 200),
    ]
    assert "secret" not in json.dumps(lines) + text
    assert "horse" not in json.dumps(lines) + text
