"""Routes of the page and of its API."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.metadata
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from butterflyer_jax import cores
from butterflyer_jax.app.chat.conversation import Answerer
from butterflyer_jax.app.feedback import FeedbackStore
from butterflyer_jax.app.identify import SURE, Identifier, SearchStep, Upload
from butterflyer_jax.app.knowledge.base import Knowledge
from butterflyer_jax.app.knowledge.facts import facts
from butterflyer_jax.app.logs import log_error
from butterflyer_jax.app.server import schemas
from butterflyer_jax.app.server.access import Guard
from butterflyer_jax.app.server.batching import Batcher, Full
from butterflyer_jax.app.server.chat_stream import MAX_BYTES, Talks
from butterflyer_jax.app.server.decode_worker import Work
from butterflyer_jax.app.server.decoder import Decoder
from butterflyer_jax.app.server.errors import add_error_answers
from butterflyer_jax.app.server.example_photos import CACHE_CONTROL, ExamplePhotos
from butterflyer_jax.app.server.metrics import Metrics, Watch
from butterflyer_jax.app.server.page_files import add_page
from butterflyer_jax.app.server.searching import Searches
from butterflyer_jax.app.server.uploads import Room, bounded_route
from butterflyer_jax.app.settings import Settings
from butterflyer_jax.data.photo import PhotoError
from butterflyer_jax.inference.classifier import Classifier

if TYPE_CHECKING:
    from butterflyer_jax.runs.examples import Examples


class JpegResponse(Response):
    """A JPEG response."""

    media_type = "image/jpeg"


@dataclass(frozen=True)
class Parts:
    """Components of a service.

    Attributes:
      decoder: decoder of uploads.
      identifier: identifier of species.
      knowledge: knowledge base.
      answerer: answerer of the chat.
      feedback: store of visitors' corrections.
      settings: limits of the service.
      password: password of the page; None where only this machine has access.
      examples: example photos of the species; None where the run has none.
    """

    decoder: Decoder
    identifier: Identifier
    knowledge: Knowledge
    answerer: Answerer
    feedback: FeedbackStore
    settings: Settings
    password: str | None = None
    examples: Examples | None = None


def work_of(classifier: Classifier, settings: Settings) -> Work:
    """Returns the preprocessing of uploads for a classifier."""
    return Work(
        short_side=classifier.short_side,
        crop_fraction=classifier.crop_fraction,
        image_size=classifier.image_size,
        max_pixels=settings.max_pixels,
        large_pixels=settings.large_pixels,
        seconds=settings.decode_seconds,
        memory_bytes=settings.decode_memory_bytes,
    )


def make_decoder(classifier: Classifier, settings: Settings) -> Decoder:
    """Returns the decoder of uploads for a classifier."""
    num_workers = max(2, cores.usable())
    return Decoder(work_of(classifier, settings), num_workers, settings.max_waiting, settings.max_large)


def create_service(parts: Parts) -> FastAPI:
    """Returns the ASGI application."""
    metrics = Metrics()
    settings, classifier = parts.settings, parts.identifier.classifier
    batcher: Batcher[Upload | SearchStep, Any] = Batcher(
        parts.identifier.answer, settings.max_batch, settings.max_waiting, metrics.batches.observe
    )
    metrics.waiting.set_function(lambda: batcher.waiting)
    talks = Talks(parts.answerer, classifier.species, settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        parts.decoder.close()
        batcher.close()
        talks.close()

    # No documentation page: it would load scripts from another site.
    service = FastAPI(
        title="Butterflyer",
        version=importlib.metadata.version("butterflyer-jax"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    add_error_answers(service)
    service.add_middleware(Guard, settings=settings, password=parts.password)
    service.add_middleware(Watch, metrics=metrics)

    add_page(service)

    @service.get("/health")
    async def health() -> schemas.Health:
        """Reports that the service is ready: it listens only once the network is compiled."""
        return schemas.Health(status="ok", version=service.version)

    room = Room(settings.max_memory_bytes)
    routers = (
        _reading(parts, metrics),
        _naming(parts, metrics, batcher, room),
        _correcting(parts, metrics, room),
        _talking(settings, talks, room),
    )
    locks = [Depends(schemas.Basic()), Depends(schemas.Bearer())] if parts.password else None
    for router in routers:
        service.include_router(router, dependencies=locks)
    return service


def _reading(parts: Parts, metrics: Metrics) -> APIRouter:
    """Returns the routes that take no upload."""
    settings, classifier = parts.settings, parts.identifier.classifier
    photos = ExamplePhotos(parts.examples, classifier.species)
    reading = APIRouter()

    @reading.get("/metrics", response_class=PlainTextResponse)
    async def get_metrics() -> Response:
        """Prometheus metrics."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @reading.get("/api/about")
    async def about() -> schemas.About:
        """The species of the model, its threshold, and the limits of the service."""
        return schemas.About(
            model=classifier.name,
            species=[
                name
                for label, name in enumerate(classifier.species)
                if classifier.listed is None or classifier.listed[label]
            ],
            threshold=classifier.threshold,
            sure=SURE,
            crop_fraction=classifier.crop_fraction,
            chat=parts.answerer.name,
            max_upload_bytes=settings.max_upload_bytes,
            keeps_photos=parts.feedback.keeps_photos,
            searches=classifier.has_typicality,
            examples=photos.names,
            look_alikes=photos.look_alikes,
        )

    @reading.get("/api/examples/{name}", response_class=JpegResponse, responses=schemas.failures_of_file(404, 422))
    async def example(name: str) -> Response:
        """A photo of a species, by a name in the `examples` of `/api/about`; it never changes."""
        if name not in photos.files:
            raise HTTPException(404, "no example of this model")
        return JpegResponse(photos.files[name], headers={"cache-control": CACHE_CONTROL})

    @reading.get(
        "/api/species/{label:path}",
        response_model=schemas.SpeciesFacts,
        response_model_exclude_unset=True,
        responses=schemas.failures(404, 422),
    )
    async def species(label: str) -> dict[str, Any]:
        """Facts of the knowledge base about a species of the model, with sources."""
        if label not in classifier.species:
            raise HTTPException(404, "not a species of this model")
        return facts(parts.knowledge, label)

    return reading


def _taking_photos(settings: Settings, room: Room) -> APIRouter:
    """Returns a router of routes that take a photo."""
    return APIRouter(route_class=bounded_route(room, settings.max_upload_bytes, settings.upload_seconds))


def _naming(parts: Parts, metrics: Metrics, batcher: Batcher[Upload | SearchStep, Any], room: Room) -> APIRouter:
    """Returns the route that names the butterfly on a photo."""
    settings, classifier = parts.settings, parts.identifier.classifier
    searches = Searches(parts.decoder, batcher, settings.max_searches)
    naming = _taking_photos(settings, room)

    @naming.post(
        "/api/predict",
        response_model=schemas.Prediction,
        response_model_exclude_unset=True,
        responses=schemas.failures(400, 408, 413, 422, 429, 503, 504),
    )
    async def predict(file: schemas.Picture, heat_map: bool = False, search: bool = False) -> Any:
        """Names the butterfly on the photo in the field `file`; with `heat_map`, says where the network looked.

        With `search`, looks at some 70 parts of the picture and answers for the most typical one, `part`.
        """
        if search and not classifier.has_typicality:
            raise HTTPException(422, "this model cannot search: it has no typicality")
        try:
            async with asyncio.timeout(settings.answer_seconds):
                data = await file.read()
                sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
                if search:
                    answer = await searches(data, sha256, heat_map)
                else:
                    answer = await batcher(Upload(await parts.decoder(data), sha256, heat_map))
        except PhotoError as error:
            metrics.pictures.labels("unreadable").inc()
            raise HTTPException(422, str(error)) from error
        except Full as error:
            raise HTTPException(503, "too many photos at once; try again", {"retry-after": "2"}) from error
        except TimeoutError as error:
            raise HTTPException(504, f"no answer within {settings.answer_seconds:.0f} s") from error
        metrics.pictures.labels(answer["verdict"]).inc()
        return answer

    return naming


def _correcting(parts: Parts, metrics: Metrics, room: Room) -> APIRouter:
    """Returns the route that keeps visitors' corrections."""
    correcting = _taking_photos(parts.settings, room)

    @correcting.post("/api/feedback", responses=schemas.failures(400, 408, 413, 422, 429, 503))
    async def feedback(
        file: schemas.Picture,
        label: Annotated[str, Form(description="the species that it is")],
        named: Annotated[str, Form(description="the species that `/api/predict` answered")] = "",
        probability: Annotated[float | None, Form(ge=0, le=1, description="the probability that it answered")] = None,
    ) -> schemas.Kept:
        """Keeps what a visitor says the butterfly on the photo in the field `file` is: `label`."""
        if named and named not in parts.identifier.classifier.species:
            raise HTTPException(422, "named is not a species of this model")
        add, data = parts.feedback.add, await file.read()
        try:
            sha256 = await asyncio.to_thread(add, data, file.filename or "", label, named, probability)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        except (sqlite3.Error, OSError) as error:
            # The disk is full, or the file is read-only or locked by another program.
            log_error("feedback", error)
            raise HTTPException(503, "feedback cannot be kept now; try again later", {"retry-after": "60"}) from error
        metrics.feedback.inc()
        return schemas.Kept(sha256=sha256)

    return correcting


def _talking(settings: Settings, talks: Talks, room: Room) -> APIRouter:
    """Returns the route of the chat."""
    talking = APIRouter(route_class=bounded_route(room, MAX_BYTES, settings.upload_seconds))

    @talking.post(
        "/api/chat",
        response_class=StreamingResponse,
        responses=schemas.failures(408, 413, 422, 429, 503),
        openapi_extra=schemas.event_stream(),
    )
    async def chat(conversation: schemas.Conversation) -> StreamingResponse:
        """Answers the last message, as server-sent events: text pieces, then sources, then done."""
        return talks.answer(conversation)

    return talking
