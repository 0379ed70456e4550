"""What goes over the wire, as /openapi.json tells it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

MAX_MESSAGES = 400
MAX_CHARACTERS = 100_000
SCHEMAS = "#/components/schemas/"
PICTURE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, BMP, GIF or TIFF"}


class Failure(BaseModel):
    """Why there is no answer."""

    error: str


class Health(BaseModel):
    """That the service answers."""

    status: Literal["ok"]
    version: str


class About(BaseModel):
    """What the service can do: a name is given where the first species has at least the probability `threshold`."""

    model: str
    species: list[str]
    threshold: float
    chat: str
    max_upload_bytes: int
    keeps_photographs: bool


class Ranked(BaseModel):
    """A species and its probability."""

    species: str
    probability: float = Field(ge=0, le=1)


class HeatMap(BaseModel):
    """Where the network looked: rows of 0 to 1, over the central square of `crop_fraction` of the short side."""

    values: list[list[float]]
    crop_fraction: float


class Prediction(Ranked):
    """The most probable species of a picture, and the others."""

    sha256: str
    verdict: Literal["named", "unsure", "none"]
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
    """A species that looks alike, and how to tell it; `sources` as of a fact."""

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

    verdict: Literal["named", "unsure", "none"]
    top5: list[Ranked] = Field(default=[], max_length=5)


class Conversation(BaseModel):
    """What a browser sends: the messages so far, the newest last, and what the picture was identified as."""

    messages: list[Said] = Field(max_length=MAX_MESSAGES)
    identification: Identified | None = None


class Event(BaseModel):
    """The data of one server-sent event: a piece of text, or the sources that [1], [2] … stand for, or the end."""

    text: str | None = None
    sources: list[SourceOf] | None = None
    done: bool | None = None


def form(**fields: str) -> dict[str, Any]:
    """Returns OpenAPI's words for a form with a picture in `file`, and text in other fields (name and description)."""
    properties = {"file": PICTURE} | {name: {"type": "string", "description": what} for name, what in fields.items()}
    required = ["file", *(name for name in fields if name == "label")]
    schema = {"type": "object", "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's words for the errors of a route."""
    return {status: {"model": Failure} for status in statuses}


CHAT: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": f"{SCHEMAS}Conversation"}}}},
    "responses": {
        "200": {
            "description": "Each event is a line `data: ` with JSON, and an empty line.",
            "content": {"text/event-stream": {"schema": {"$ref": f"{SCHEMAS}Event"}}},
        }
    },
}


def describe(service: FastAPI, asks_password: bool) -> None:
    """Adds to /openapi.json what FastAPI does not see: the shapes of the chat, and the password."""

    def openapi() -> dict[str, Any]:
        if service.openapi_schema is None:
            made = get_openapi(title=service.title, version=service.version, routes=service.routes)
            _, more = models_json_schema(
                [(Conversation, "validation"), (Event, "serialization")], ref_template=SCHEMAS + "{model}"
            )
            made["components"]["schemas"].update(more["$defs"])
            if asks_password:
                schemes = ("basic", "bearer")
                made["components"]["securitySchemes"] = {
                    scheme: {"type": "http", "scheme": scheme} for scheme in schemes
                }
                made["security"] = [{scheme: []} for scheme in schemes]
            service.openapi_schema = made
        return service.openapi_schema

    service.openapi = openapi  # type: ignore[method-assign]
