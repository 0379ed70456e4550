from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from butterflyer_jax.app.server.service import create_service
from tests.helpers.app_parts import make_parts

HERE = "http://127.0.0.1:7860"


def test_openapi_tells_of_forms_answers_and_errors(tmp_path: Path) -> None:
    client = TestClient(create_service(make_parts(tmp_path, password="correct horse")), base_url=HERE)
    answer = client.get("/openapi.json", headers={"authorization": "Bearer correct horse"})
    schemas, paths = answer.json()["components"]["schemas"], answer.json()["paths"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', answer.text)) <= schemas.keys()
    assert set(re.findall(r'"\$ref":"(?!#/components/schemas/)', answer.text)) == set()
    schemes = answer.json()["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {"Basic": "basic", "Bearer": "bearer"}

    predict = paths["/api/predict"]["post"]
    assert predict["parameters"][0]["name"] == "heat_map"
    assert predict["security"] == paths["/api/chat"]["post"]["security"] == [{"Basic": []}, {"Bearer": []}]

    def form(route: Any) -> Any:
        return schemas[route["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]]

    assert form(predict)["properties"]["file"]["type"] == "string"
    assert {"verdict", "species", "top5", "sha256"} <= schemas["Prediction"]["properties"].keys()
    assert form(paths["/api/feedback"]["post"])["required"] == ["file", "label"]
    chat = paths["/api/chat"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Conversation")
    assert list(chat["responses"]["200"]["content"]) == ["text/event-stream"]
    for of in paths.values():
        for route in of.values():
            for status, response in route["responses"].items():
                shown = response["content"]
                if status != "200":
                    assert shown["application/json"]["schema"]["$ref"].endswith("/Failure")
                assert all(one["schema"] for one in shown.values())
