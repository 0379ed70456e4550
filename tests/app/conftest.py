"""A service to ask, and its page in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from butterflyer_jax.app.server.service import Parts, create_service
from butterflyer_jax.app.settings import Settings
from tests.helpers.app_parts import make_examples, make_parts
from tests.helpers.browser import open_browser
from tests.helpers.chat_questions import HERE


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Any]:
    """Makes a client of a service with the given settings and parts."""
    opened = []

    def make(password: str | None = None, settings: Settings | None = None, **more: Any) -> TestClient:
        service = create_service(make_parts(tmp_path, settings, password=password, **more))
        client = TestClient(service, base_url=HERE)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    unlimited = Settings(pictures_per_minute=0, messages_per_minute=0)
    return make_parts(tmp_path_factory.mktemp("app"), unlimited, examples=make_examples())


@pytest.fixture(scope="module")
def address(parts: Parts) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(create_service(parts), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.goto(address)
    opened.wait_for_selector(".chip")
    yield opened
    context.close()
