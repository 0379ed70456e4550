"""Which answerer the environment chooses, and what an import costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from butterflyer_jax import extras
from butterflyer_jax.app.chat.answerers import make_answerer
from butterflyer_jax.errors import UserError
from tests.helpers.chats import ask, retriever
from tests.helpers.openai_server import ModelServer

KEY = "sk-test-0123456789abcdef"
SERVER = {"BUTTERFLYER_CHAT_URL": "http://127.0.0.1:9/v1", "BUTTERFLYER_CHAT_MODEL": "a-model"}
BASE = retriever().knowledge


def test_without_settings_the_base_answers() -> None:
    assert make_answerer({}, BASE).name == "embedded"
    assert make_answerer(dict.fromkeys(SERVER, ""), BASE).name == "embedded"


def test_a_server_and_a_model_answer() -> None:
    assert make_answerer(SERVER, BASE).name == "openai"
    assert make_answerer({**SERVER, "BUTTERFLYER_CHAT_KEY": KEY}, BASE).name == "openai"


@pytest.mark.parametrize("given", ["setting", "file"])
def test_the_key_is_sent(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    key = {"BUTTERFLYER_CHAT_KEY": KEY} if given == "setting" else {"BUTTERFLYER_CHAT_KEY_FILE": str(file)}
    with ModelServer() as server:
        answerer = make_answerer({**SERVER, "BUTTERFLYER_CHAT_URL": server.url, **key}, BASE)
        assert "milkweeds [1]" in ask(answerer, "What does it eat?").text
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"BUTTERFLYER_CHAT_URL": "http://localhost/v1"}, "not BUTTERFLYER_CHAT_MODEL"),
        ({"BUTTERFLYER_CHAT_MODEL": "a-model"}, "not BUTTERFLYER_CHAT_URL"),
        ({"BUTTERFLYER_CHAT_KEY": KEY}, "not BUTTERFLYER_CHAT_URL"),
        ({"BUTTERFLYER_CHAT_KEY_FILE": "/nowhere"}, "not BUTTERFLYER_CHAT_URL"),
        ({**SERVER, "BUTTERFLYER_CHAT_URL": "localhost:8000"}, "BUTTERFLYER_CHAT_URL is not an address"),
        ({**SERVER, "BUTTERFLYER_CHAT_URL": "file:///etc/passwd"}, "BUTTERFLYER_CHAT_URL is not an address"),
        ({**SERVER, "BUTTERFLYER_CHAT_URL": "http://[::1/v1"}, "BUTTERFLYER_CHAT_URL is not an address"),
        ({**SERVER, "BUTTERFLYER_CHAT_URL": "http://a:secret@b/v1"}, "the key goes into BUTTERFLYER_CHAT_KEY"),
        ({**SERVER, "BUTTERFLYER_CHAT_KEY": "short"}, "BUTTERFLYER_CHAT_KEY: a key has 8"),
        ({**SERVER, "BUTTERFLYER_CHAT_KEY": "two words that are none"}, "BUTTERFLYER_CHAT_KEY: a key has 8"),
        ({**SERVER, "BUTTERFLYER_CHAT_KEY_FILE": "/nowhere/key"}, "cannot read /nowhere/key: No such file"),
    ],
)
def test_what_is_set_wrongly_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        make_answerer(environ, BASE)
    assert KEY not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00key"])
def test_a_key_file_without_a_key(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(UserError, match="BUTTERFLYER_CHAT_KEY_FILE"):
        make_answerer({**SERVER, "BUTTERFLYER_CHAT_KEY_FILE": str(file)}, BASE)


def run_python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return result.stdout + result.stderr


def test_imports_leave_the_packages_of_the_extra_for_later() -> None:
    code = (
        "import sys, butterflyer_jax.app.chat.answerers\nprint({'openai', 'Stemmer', 'jax', 'numba'} & {*sys.modules})"
    )
    assert run_python(code) == "set()\n"


def test_without_the_models_client_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    line = f"language model needs openai; install it with: {extras.install_command('app')}"
    with pytest.raises(UserError, match=re.escape(line)):
        make_answerer(SERVER, BASE)
