from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from butterflyer_jax.app.server import connection

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def talk(*sent: bytes) -> list[bytes]:
    """Returns what a service says to each thing that is sent; the last is waited for until it hangs up."""
    config = uvicorn.Config(answer, http=connection.Connection, lifespan="off", log_level="critical")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    loop = asyncio.get_running_loop()

    def make() -> connection.Connection:
        return connection.Connection(config, server.server_state, {})

    listening = await loop.create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    said = []
    async with asyncio.timeout(20):
        for number, data in enumerate(sent):
            writer.write(data)
            said.append(await (reader.readuntil(b"\r\n\r\n") if number + 1 < len(sent) else reader.read()))
    writer.close()
    listening.close()
    return said


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost:"])
def test_who_asks_nothing_is_hung_up_on(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 0.05)
    assert asyncio.run(talk(begun)) == [b""]
    # And so is who began a second request.
    first, second = asyncio.run(talk(REQUEST, begun or b"G"))
    assert first.startswith(b"HTTP/1.1 204")
    assert second == b""


def test_who_asks_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADER_SECONDS", 10.0)
    last = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert all(said.startswith(b"HTTP/1.1 204") for said in asyncio.run(talk(REQUEST, REQUEST, last)))
