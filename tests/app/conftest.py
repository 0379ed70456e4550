"""A service to ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from butterflyer_jax.app.service import create_service
from butterflyer_jax.app.settings import Settings
from tests.app.asking import HERE
from tests.app.parts import make_parts


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
