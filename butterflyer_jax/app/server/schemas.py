"""Requests and responses of the API, as /openapi.json documents them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import File, Request, UploadFile
from fastapi.security import HTTPBasic, HTTPBearer
from pydantic import BaseModel, Field

MAX_MESSAGES = 400
MAX_CHARACTERS = 100_000

Picture: TypeAlias = Annotated[UploadFile, File(description="JPEG, PNG, WebP, BMP, GIF or TIFF")]


class Failure(BaseModel):
    """Why there is no answer."""

    error: str


class Health(BaseModel):
    """That the service answers."""

    status: Literal["ok"]
    version: str


class About(BaseModel):
    """What the service can do: a name is given where the first species has at least the probability `threshold`.

    A name is sure from the probability `sure` on. The model sees the central square of a picture, of `crop_fraction` of
    its short side.
    `examples`: of each species names of photos for `/api/examples/`, the most typical one first. `look_alikes`: of each
    species those that the model confuses it with. Both are empty where the run keeps no photos.
    """

    model: str
    species: list[str]
    threshold: float
    sure: float
    crop_fraction: float
    chat: str
    max_upload_bytes: int
    keeps_photographs: bool
    examples: dict[str, list[str]] = {}
    look_alikes: dict[str, list[str]] = {}


class Ranked(BaseModel):
    """A species and its probability."""

    species: str
    probability: float = Field(ge=0, le=1)


class HeatMap(BaseModel):
    """Where the network looked: rows of 0 to 1, over the central square of `crop_fraction` of the short side."""

    values: list[list[float]]
    crop_fraction: float


class RankedAnswer(BaseModel):
    """The lowest rank that is sure enough, such as a genus or a family; `text` says it in words."""

    rank: str | None
    name: str | None
    probability: float | None = Field(ge=0, le=1)
    text: str


class Prediction(Ranked):
    """The most probable species of a picture, and the others."""

    sha256: str
    verdict: Literal["named", "higher", "unsure", "none"]
    answer: RankedAnswer | None = None
    top5: list[Ranked]
    probabilities: dict[str, float]
    heat_map: HeatMap | None = None


class SourceOf(BaseModel):
    """Where a fact stands."""

    title: str
    publisher: str
    url: str


class Fact(BaseModel):
    """One fact; `sources` are places in the list of sources, from 1."""

    kind: str
    title: str
    text: str
    sources: list[int]


class LookAlike(BaseModel):
    """A species that looks alike, and how to distinguish it; `sources` are numbered as those of a fact."""

    name: str
    scientific_name: str
    text: str
    sources: list[int]


class SpeciesFacts(BaseModel):
    """What is known of a species; where `known` is false, nothing."""

    known: bool
    label: str
    name: str
    scientific_name: str | None = None
    facts: list[Fact]
    look_alikes: list[LookAlike]
    sources: list[SourceOf]


class Kept(BaseModel):
    """The picture that feedback was kept of, by its file's SHA-256."""

    sha256: str


class Said(BaseModel):
    """A message."""

    role: Literal["user", "assistant"]
    text: str = Field(max_length=MAX_CHARACTERS)


class Identified(Ranked):
    """What `/api/predict` answered."""

    verdict: Literal["named", "higher", "unsure", "none"]
    top5: list[Ranked] = Field(default=[], max_length=5)


class Conversation(BaseModel):
    """What a browser sends: the messages so far, the newest last, and what the picture was identified as."""

    messages: list[Said] = Field(max_length=MAX_MESSAGES)
    identification: Identified | None = None


class Event(BaseModel):
    """The data of one event: a piece of text, more of it to unfold, the sources of [1], [2] …, or the end."""

    text: str | None = None
    more: str | None = None
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
    """Returns the error responses of a route, as FastAPI's `responses` takes them."""
    return {status: {"model": Failure} for status in statuses}


def failures_of_file(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the same for a route whose responses are no JSON: FastAPI would give these errors its content type."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {status: {"description": "Failure", "content": content} for status in statuses}


def event_stream() -> dict[str, Any]:
    """Returns the response of the chat for FastAPI's `openapi_extra`: it has no word for the events of a stream."""
    schema = Event.model_json_schema(ref_template="#/components/schemas/{model}")
    del schema["$defs"]
    description = "Server-sent events; each is a line `data: ` with JSON, and an empty line."
    return {"responses": {"200": {"description": description, "content": {"text/event-stream": {"schema": schema}}}}}
