"""The routes: the page, and the API behind it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from butterflyer_jax.app.chat.conversation import Answerer
from butterflyer_jax.app.feedback import FeedbackStore
from butterflyer_jax.app.identify import Identifier, Upload
from butterflyer_jax.app.knowledge.base import Knowledge
from butterflyer_jax.app.knowledge.facts import facts
from butterflyer_jax.app.server import schemas, uploads
from butterflyer_jax.app.server.access import Guard
from butterflyer_jax.app.server.batching import Batcher, Full
from butterflyer_jax.app.server.chat_stream import Talks
from butterflyer_jax.app.server.errors import add_error_answers
from butterflyer_jax.app.server.metrics import Metrics, Watch, log_error
from butterflyer_jax.app.settings import Settings

STATIC = {
    "": ("page.html", "text/html; charset=utf-8"),
    "app.css": ("app.css", "text/css; charset=utf-8"),
    **{
        f"{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in ("app", "chat", "common", "facts", "pictures")
    },
    "icon.svg": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True)
class Parts:
    """What a service is made of.

    Attributes:
      identifier: names butterflies.
      knowledge: what is known of them.
      answerer: talks about them.
      feedback: keeps what visitors say.
      settings: limits.
      password: that is asked for; None where only this machine can ask.
    """

    identifier: Identifier
    knowledge: Knowledge
    answerer: Answerer
    feedback: FeedbackStore
    settings: Settings
    password: str | None = None


def create_service(parts: Parts) -> FastAPI:
    """Returns the ASGI application."""
    metrics = Metrics()
    settings, classifier = parts.settings, parts.identifier.classifier
    batcher: Batcher[Upload, dict[str, Any]] = Batcher(
        parts.identifier.answer, settings.max_batch, settings.max_waiting, metrics.batches.observe
    )
    metrics.waiting.set_function(lambda: batcher.waiting)
    room = uploads.Room(settings.max_memory_bytes)
    talks = Talks(parts.answerer, classifier.species, settings, metrics, room)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()
        talks.close()

    # No page of documentation: it would load its scripts from another site.
    service = FastAPI(
        title="Butterflyer",
        version=importlib.metadata.version("butterflyer-jax"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    add_error_answers(service)
    schemas.describe(service, parts.password is not None)
    service.add_middleware(Guard, settings=settings, password=parts.password)
    service.add_middleware(Watch, metrics=metrics)

    def add_static(route: str, name: str, kind: str) -> None:
        content = resources.files("butterflyer_jax.app").joinpath("static", name).read_bytes()

        async def get() -> Response:
            return Response(content, media_type=kind)

        service.add_api_route(f"/{route}", get, methods=["GET"], include_in_schema=False)

    for route, (name, kind) in STATIC.items():
        add_static(route, name, kind)

    @service.get("/health", response_model=schemas.Health)
    async def health() -> dict[str, Any]:
        """Says that the service can answer: it listens only once the network is compiled."""
        return {"status": "ok", "version": importlib.metadata.version("butterflyer-jax")}

    @service.get("/metrics", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        """Prometheus metrics."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @service.get("/api/about", response_model=schemas.About)
    async def about() -> dict[str, Any]:
        """Which species are known, and what answers."""
        return {
            "model": classifier.name,
            "species": list(classifier.species),
            "threshold": classifier.threshold,
            "chat": parts.answerer.name,
            "max_upload_bytes": settings.max_upload_bytes,
            "keeps_photographs": parts.feedback.keeps_photographs,
        }

    @service.post(
        "/api/predict",
        response_model=schemas.Prediction,
        response_model_exclude_unset=True,
        responses=schemas.failures(400, 408, 413, 422, 429, 503, 504),
        openapi_extra=schemas.form(),
    )
    async def predict(request: Request, heat_map: bool = False) -> Any:
        """Names the butterfly on the picture in the field `file`; with `heat_map`, says where the network looked."""
        with room.of_request() as take:
            form = await uploads.read_form(request, settings.max_upload_bytes, settings.upload_seconds, take)
            try:
                async with asyncio.timeout(settings.answer_seconds):
                    answer = await batcher(Upload(form.data, heat_map))
            except Full as error:
                raise HTTPException(503, "too many pictures at once; try again", {"retry-after": "2"}) from error
            except TimeoutError as error:
                raise HTTPException(504, f"no answer within {settings.answer_seconds:.0f} s") from error
        metrics.pictures.labels(answer.get("verdict", "unreadable")).inc()
        if "error" in answer:
            raise HTTPException(422, answer["error"])
        return answer

    @service.get(
        "/api/species/{label:path}",
        response_model=schemas.SpeciesFacts,
        response_model_exclude_unset=True,
        responses=schemas.failures(404, 422),
    )
    async def species(label: str) -> dict[str, Any]:
        """What the knowledge base says of a species of the model, each fact with its sources."""
        if label not in classifier.species:
            raise HTTPException(404, "no species of this model")
        return facts(parts.knowledge, label)

    @service.post(
        "/api/chat",
        response_class=StreamingResponse,
        responses=schemas.failures(408, 413, 422, 429, 503),
        openapi_extra=schemas.CHAT,
    )
    async def chat(request: Request) -> StreamingResponse:
        """Answers the last message, as server-sent events: text pieces, then sources, then done."""
        return await talks.answer(request)

    @service.post(
        "/api/feedback",
        response_model=schemas.Kept,
        responses=schemas.failures(400, 408, 413, 422, 429, 503),
        openapi_extra=schemas.form(
            label="the species that it is", named="what `/api/predict` said", probability="that it gave, 0 to 1"
        ),
    )
    async def feedback(request: Request) -> dict[str, str]:
        """Keeps what a visitor says the butterfly on the picture in the field `file` is: `label`."""
        with room.of_request() as take:
            form = await uploads.read_form(request, settings.max_upload_bytes, settings.upload_seconds, take)
            named = form.fields.get("named", "")
            given = form.fields.get("probability", "")
            try:
                probability = float(given) if given else None
                if named and named not in classifier.species:
                    raise ValueError("named is no species of this model")
                if probability is not None and not 0 <= probability <= 1:
                    raise ValueError("probability is not between 0 and 1")
                sha256 = await asyncio.to_thread(
                    parts.feedback.add, form.data, form.filename, form.fields.get("label", ""), named, probability
                )
            except ValueError as error:
                raise HTTPException(422, str(error)) from error
            except (sqlite3.Error, OSError) as error:
                # The disk is full, the file is read-only or held by another program.
                log_error("feedback", error)
                raise HTTPException(
                    503, "feedback cannot be kept now; try again later", {"retry-after": "60"}
                ) from error
        metrics.feedback.inc()
        return {"sha256": sha256}

    return service
