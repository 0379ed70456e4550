"""`python -m butterflyer_jax.app` as a process: what it starts with, answers, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from butterflyer_jax.export.exporter import export
from tests.conftest import ROOT, Command, assert_one_line_error, make_photo
from tests.helpers.app_process import start
from tests.helpers.openai_server import ANSWER, ModelServer


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "one of the arguments --run --model is required"),
        (["--run", "nowhere"], "nowhere"),
        (["--model", "nowhere.onnx"], "no model in nowhere.onnx"),
        (["--run", "nowhere", "--host", "0.0.0.0"], "asks for a password: set BUTTERFLYER_APP_PASSWORD"),
        (["--run", "nowhere", "--proxy", "127.0.0.1"], "asks for a password"),
        (["--run", "nowhere", "--port", "70000"], "--port must be"),
        (["--run", "nowhere", "--max_mib", "0"], "limits must be above 0"),
        (["--run", "nowhere", "--knowledge", "no_folder"], "no_folder"),
        (["--run", "nowhere", "--species", "tests"], "--species tests is a folder: it takes a list of species"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(command: Command, tmp_path: Path, arguments: list[str], part: str) -> None:
    result = command("app", *arguments, "--feedback", tmp_path / "feedback.sqlite")
    assert_one_line_error(result, part)
    assert not (tmp_path / "feedback.sqlite").exists()


def test_a_password_must_be_one(command: Command, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("short\n")
    line = ["--run", "nowhere", "--host", "0.0.0.0"]
    for env, part in (
        ({"BUTTERFLYER_APP_PASSWORD": "short"}, "fewer than 8 characters"),
        ({"BUTTERFLYER_APP_PASSWORD_FILE": str(tmp_path / "password")}, "fewer than 8 characters"),
        ({"BUTTERFLYER_APP_PASSWORD_FILE": str(tmp_path / "none")}, "BUTTERFLYER_APP_PASSWORD_FILE: cannot read"),
    ):
        assert_one_line_error(command("app", *line, env=env), part)


def test_a_run_is_served_until_it_is_stopped(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    programs = tmp_path / "xla"
    env = {
        "BUTTERFLYER_APP_PASSWORD_FILE": str(tmp_path / "password"),
        "JAX_COMPILATION_CACHE_DIR": str(programs),
    }
    with start(tmp_path, "--run", trained_run, "--host", "0.0.0.0", env=env) as running:
        # Those of each size of a batch, up to 32, are there for the next start.
        assert len([*(programs / "checked").glob("jit_heat_maps-*-cache")]) == 6
        with running.client(headers={"authorization": "Bearer correct horse"}) as client:
            about = client.get("/api/about").json()
            assert about["species"] == ["Blue Stripe", "Green Dot", "Red Edge"]
            photo = make_photo(1)
            answer = client.post("/api/predict", params={"heat_map": "true"}, files={"file": ("a.jpg", photo)}).json()
            assert answer["species"] in about["species"]
            assert max(max(row) for row in answer["heat_map"]["values"]) == 1
            question = {"messages": [{"role": "user", "text": "What do monarch caterpillars eat?"}]}
            assert "ilkweed" in client.post("/api/chat", json=question).text
            kept = client.post("/api/feedback", data={"label": "Monarch"}, files={"file": ("a.jpg", photo)})
            assert kept.status_code == 200
            address = ("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
        # A request under way is answered before the end.
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + photo + b"\r\n--b--\r\n"
        head = (
            "POST /api/predict HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer correct horse\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(head + body[:100])
            # Answered after that much was read.
            with running.client() as client:
                assert client.get("/health").status_code == 200
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(OSError):
                while True:
                    socket.create_connection(address, timeout=60).close()
            connection.sendall(body[100:])
            received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert received.startswith(b"HTTP/1.1 200 "), received
        assert running.process.wait(60) == 0
    log = running.log.read_text()
    assert "Traceback" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["route"] for line in lines if "ready" not in line} == {
        "/api/about",
        "/api/predict",
        "/api/chat",
        "/api/feedback",
        "/health",
    }
    assert "horse" not in log


def test_an_export_is_served_and_a_model_words_the_answers(trained_run: Path, tmp_path: Path) -> None:
    path = export(trained_run, "onnx", tmp_path / "model.onnx").path
    with ModelServer() as model:
        env = {"BUTTERFLYER_CHAT_URL": model.url, "BUTTERFLYER_CHAT_MODEL": "m", "BUTTERFLYER_CHAT_KEY": "sk-12345678"}
        with start(tmp_path, "--model", path, env=env) as running, running.client() as client:
            answer = client.post("/api/predict?heat_map=true", files={"file": ("a.jpg", make_photo(2))}).json()
            assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
            # What has left keeps its maps to itself.
            assert "heat_map" not in answer
            question = {"messages": [{"role": "user", "text": "What do monarch caterpillars eat?"}]}
            text = client.post("/api/chat", json=question).text
            pieces = [json.loads(line[len("data: ") :]) for line in text.split("\n\n") if line]
            text = "".join(piece.get("text", "") for piece in pieces)
            # The one passage stands in two places.
            assert text.replace("[1][2]", "[1]") == ANSWER
            assert pieces[-2]["sources"][0]["url"].startswith("https://")
            assert model.requests[0].headers["authorization"] == "Bearer sk-12345678"
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(60) == 0
        assert "sk-12345678" not in running.log.read_text()


def test_a_taken_address_is_one_line_before_anything_is_loaded(tmp_path: Path, command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = command("app", "--run", "nowhere", "--port", port, "--feedback", tmp_path / "feedback.sqlite")
    assert_one_line_error(result, f"cannot listen on 127.0.0.1:{port}: another program does; take another --port")


def test_its_load_is_measured(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_photo(1))
    small = ["--users", "4", "--seconds", "0.2", "--rounds", "1", "--json", tmp_path / "figures.json"]
    line = ["benchmarks/bench_app.py", "--run", trained_run, "--picture", tmp_path / "a.jpg", *small]
    result = subprocess.run([sys.executable, *map(str, line)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "figures.json").read_text())["rows"]}
    assert len(rows) == 6
    for method in ("ours, batches", "batches of one"):
        per_second, p50, p99 = (rows[f"{method}: {name}"]["value"] for name in ("per_second", "p50", "p99"))
        assert 0 < p50 <= p99
        # Four visitors, each of whom waits for its answer: no more than four are under way.
        assert 0 < per_second * p50 / 1000 < 5
