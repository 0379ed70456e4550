"""Chat answers as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from butterflyer_jax.app.chat.conversation import Answerer, Identification, Message, Piece
from butterflyer_jax.app.identify import NAMED
from butterflyer_jax.app.logs import log_error
from butterflyer_jax.app.server.metrics import Metrics
from butterflyer_jax.app.server.schemas import Conversation, Identified
from butterflyer_jax.app.settings import Settings

MAX_BYTES = 4 << 20
LATE = "\n\n(The answer took too long and ends here.)"
BROKEN = "\n\n(Something went wrong here; please ask again.)"


class Talks:
    """Answers conversations and stores nothing of them."""

    def __init__(self, answerer: Answerer, species: Sequence[str], settings: Settings, metrics: Metrics) -> None:
        """Takes the answerer, the species of the model, the limits, and the metrics."""
        self._answerer = answerer
        self._species = frozenset(species)
        self._settings = settings
        self._metrics = metrics
        self._under_way = 0
        # Separate threads: a slow language model must not block other work.
        self._threads = ThreadPoolExecutor(max(1, settings.max_chats), "chat")

    def answer(self, asked: Conversation) -> StreamingResponse:
        """Returns the stream of events that answers a conversation.

        Raises:
          HTTPException: 422 the identification is not of this model, 503 too many answers in progress.
        """
        identification = self._identification(asked.identification)
        messages = [Message(said.role, said.text) for said in asked.messages]
        if self._under_way >= self._settings.max_chats:
            raise HTTPException(503, "too many questions at once; try again", {"retry-after": "5"})
        self._metrics.chats.labels(self._answerer.name).inc()
        events = self._events(self._answerer.answer(messages, identification))
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    def close(self) -> None:
        """Ends the threads; to be called after the last request."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _identification(self, found: Identified | None) -> Identification | None:
        if found is None:
            return None
        ranked = tuple((one.species, one.probability) for one in found.top5)
        # Only the model's species can be in its answer.
        if not {found.species, *(name for name, _ in ranked)} <= self._species:
            raise HTTPException(422, "identification: not a species of this model")
        return Identification(found.species, found.probability, found.verdict == NAMED, ranked)

    async def _events(self, pieces: Generator[Piece, None, None]) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        end = time.monotonic() + self._settings.chat_seconds
        self._under_way += 1
        try:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, end - time.monotonic())):
                        piece = await loop.run_in_executor(self._threads, next, pieces, None)
                except TimeoutError:
                    yield _event({"text": LATE})
                    break
                except Exception as error:
                    # An internal error: the visitor's conversation continues.
                    log_error("chat", error)
                    yield _event({"text": BROKEN})
                    break
                if piece is None:
                    break
                if piece.text:
                    yield _event({"text": piece.text})
                if piece.more:
                    yield _event({"more": piece.more})
                if piece.suggestions:
                    yield _event({"suggestions": piece.suggestions})
                if piece.sources:
                    yield _event({"sources": [asdict(source) for source in piece.sources]})
            yield _event({"done": True})
        finally:
            self._under_way -= 1
            # The visitor has left; an answer still running in its thread ends by its own time limit.
            with contextlib.suppress(ValueError):
                pieces.close()


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
