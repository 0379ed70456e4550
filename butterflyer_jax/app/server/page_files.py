"""Routes of the files of the page."""

from __future__ import annotations

from importlib import resources

from fastapi import FastAPI
from fastapi.responses import Response

# Content types of the files of the page, by suffix: those of the system may be others.
KINDS = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def add_page(service: FastAPI) -> None:
    """Adds a route for each file of the page."""

    def add_static(name: str, content: bytes) -> None:
        async def get() -> Response:
            return Response(content, media_type=KINDS[name.rpartition(".")[2]])

        route = "/" if name == "page.html" else f"/{name}"
        service.add_api_route(route, get, methods=["GET"], include_in_schema=False)

    for file in resources.files("butterflyer_jax.app").joinpath("static").iterdir():
        add_static(file.name, file.read_bytes())
