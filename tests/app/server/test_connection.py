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


async def listen() -> asyncio.Server:
    """Returns a service on a free port."""
    config = uvicorn.Config(answer, http=connection.Connection, lifespan="off", log_level="critical")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    loop = asyncio.get_running_loop()

    def make() -> connection.Connection:
        return connection.Connection(config, server.server_state, {})

    return await loop.create_server(make, "127.0.0.1", 0)


async def talk(*sent: bytes) -> list[bytes]:
    """Returns what a service says to each thing that is sent; the last is waited for until it hangs up."""
    listening = await listen()
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


async def crowd(count: int) -> list[bytes]:
    """Opens idle connections; returns what the closed ones received, then the answer to another."""
    listening = await listen()
    address = listening.sockets[0].getsockname()
    opened = [await asyncio.open_connection(*address) for _ in range(count)]
    closed = [await reader.read() for reader, _ in opened[: count - 2]]
    reader, writer = opened[-1]
    writer.write(REQUEST)
    closed.append(await reader.readuntil(b"\r\n\r\n"))
    for _, each in opened:
        each.close()
    listening.close()
    return closed


@pytest.mark.parametrize("limit", ["MAX_IDLE", "MAX_CONNECTIONS"])
def test_silent_connections_make_room_for_others(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, limit, 2)
    *closed, answered = asyncio.run(asyncio.wait_for(crowd(8), 20))
    assert closed == [b""] * 6
    assert answered.startswith(b"HTTP/1.1 204")


def test_a_proxy_may_hold_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_IDLE", 1)
    monkeypatch.setattr(connection.Connection, "trusted", frozenset({"127.0.0.1"}))

    async def open_two() -> list[bytes]:
        listening = await listen()
        opened = [await asyncio.open_connection(*listening.sockets[0].getsockname()) for _ in range(3)]
        said = []
        for reader, writer in opened:
            writer.write(REQUEST)
            said.append(await reader.readuntil(b"\r\n\r\n"))
            writer.close()
        listening.close()
        return said

    assert all(said.startswith(b"HTTP/1.1 204") for said in asyncio.run(asyncio.wait_for(open_two(), 20)))
