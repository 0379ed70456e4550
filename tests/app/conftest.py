"""A service to ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from butterflyer_jax.app.server.service import create_service
from butterflyer_jax.app.settings import Settings
from tests.helpers.app_parts import make_parts
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
