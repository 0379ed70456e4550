"""What tests ask a service with."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient

HERE = "http://127.0.0.1:7860"
QUESTION = {"messages": [{"role": "user", "text": "a"}]}


def scope_of(path: str) -> dict[str, Any]:
    """Returns what ASGI says of a form that is sent."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")],
    }


def predict(client: TestClient, data: bytes, name: str = "a.png", **more: Any) -> Any:
    return client.post("/api/predict", files={"file": (name, data)}, **more)


def events(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
