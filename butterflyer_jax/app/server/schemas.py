"""Requests and responses of the API, as documented in /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import File, Request, UploadFile
from fastapi.security import HTTPBasic, HTTPBearer
from pydantic import BaseModel, Field

MAX_MESSAGES = 400
MAX_CHARACTERS = 100_000

Picture: TypeAlias = Annotated[UploadFile, File(description="JPEG, PNG, WebP, BMP, GIF or TIFF")]


class Failure(BaseModel):
    """The reason for a failure."""

    error: str


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok"]
    version: str


class About(BaseModel):
    """Properties of the service. A species is named if its probability is at least `threshold`.

    A name counts as sure from the probability `sure` on. The model sees the central square of a photo, of
    `crop_fraction` of its short side; `searches` says whether `/api/predict` can search. `examples` has the names of
    each species' photos for `/api/examples/`, most typical first; `look_alikes` has for each species those that the
    model confuses it with. Both are empty where the run has no example photos.
    """

    model: str
    species: list[str]
    threshold: float
    sure: float
    crop_fraction: float
    chat: str
    max_upload_bytes: int
    keeps_photos: bool
    searches: bool = False
    examples: dict[str, list[str]] = {}
    look_alikes: dict[str, list[str]] = {}


class Ranked(BaseModel):
    """A species and its probability."""

    species: str
    probability: float = Field(ge=0, le=1)


class HeatMap(BaseModel):
    """Heat map: rows of values from 0 to 1, over the central square of `crop_fraction` of the short side.

    Of a search, over the `part`, or the square around it.
    """

    values: list[list[float]]
    crop_fraction: float


class RankedAnswer(BaseModel):
    """The lowest sufficiently sure rank, such as a genus or family; `text` has it in words."""

    rank: str | None
    name: str | None
    probability: float | None = Field(ge=0, le=1)
    text: str


class Prediction(Ranked):
    """The most probable species in a photo, and the others.

    Of a search, `part` is what the answer is for: left, top, right and bottom, from 0 to 1.
    """

    sha256: str
    verdict: Literal["named", "higher", "unsure", "none"]
    answer: RankedAnswer | None = None
    top5: list[Ranked]
    probabilities: dict[str, float]
    heat_map: HeatMap | None = None
    part: list[float] | None = None


class SourceOf(BaseModel):
    """Source of a fact."""

    title: str
    publisher: str
    url: str


class Fact(BaseModel):
    """One fact; `sources` are numbers in the list of sources, from 1."""

    kind: str
    title: str
    text: str
    sources: list[int]


class LookAlike(BaseModel):
    """A similar species, and how to distinguish it; `sources` are numbers in the list of sources, from 1."""

    name: str
    scientific_name: str
    text: str
    sources: list[int]


class SpeciesFacts(BaseModel):
    """Facts about a species; empty where `known` is false."""

    known: bool
    label: str
    name: str
    scientific_name: str | None = None
    facts: list[Fact]
    look_alikes: list[LookAlike]
    sources: list[SourceOf]


class Kept(BaseModel):
    """The photo of a stored correction, by the SHA-256 of its file."""

    sha256: str


class Said(BaseModel):
    """A message."""

    role: Literal["user", "assistant"]
    text: str = Field(max_length=MAX_CHARACTERS)


class Identified(Ranked):
    """The answer of `/api/predict`."""

    verdict: Literal["named", "higher", "unsure", "none"]
    top5: list[Ranked] = Field(default=[], max_length=5)


class Conversation(BaseModel):
    """A chat request: the messages so far, newest last, and the identification of the photo."""

    messages: list[Said] = Field(max_length=MAX_MESSAGES)
    identification: Identified | None = None


class Event(BaseModel):
    """Data of one event: text, further text to unfold, questions to ask, sources of [1], [2] …, or the end."""

    text: str | None = None
    more: str | None = None
    suggestions: list[str] | None = None
    sources: list[SourceOf] | None = None
    done: bool | None = None


class Basic(HTTPBasic):
    """HTTP basic authentication in /openapi.json; `Guard` checks it."""

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Checks nothing."""


class Bearer(HTTPBearer):
    """HTTP bearer authentication in /openapi.json; `Guard` checks it."""

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Checks nothing."""


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the error responses of a route for FastAPI's `responses`."""
    return {status: {"model": Failure} for status in statuses}


def failures_of_file(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the same for a route with non-JSON responses, whose content type FastAPI would use for errors."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {status: {"description": "Failure", "content": content} for status in statuses}


def event_stream() -> dict[str, Any]:
    """Returns the chat's response for FastAPI's `openapi_extra`, as FastAPI cannot describe event streams."""
    schema = Event.model_json_schema(ref_template="#/components/schemas/{model}")
    del schema["$defs"]
    description = "Server-sent events, each a line `data: ` with JSON and an empty line."
    return {"responses": {"200": {"description": description, "content": {"text/event-stream": {"schema": schema}}}}}
