"""Files of the Hub, by its real client from a local server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import hub
from butterflyer_jax.storage.hub import HubFile
from tests.helpers.hub_server import COMMIT, Hub, serving

CONTENT = bytes(range(256)) * 400
WEIGHTS = HubFile("me/net", "model.safetensors")


def point_client_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets what HF_ENDPOINT and HF_HOME set, which the client reads as it is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub({"me/net/model.safetensors": CONTENT, "me/net/config.json": b"{}"})) as running:
        point_client_at(running.url, tmp_path / "hub", monkeypatch)
        yield running


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("hf://me/net", HubFile("me/net")),
        ("hf://me/net.v2@main", HubFile("me/net.v2", "", "main")),
        ("hf://me/net/sub/model.safetensors", HubFile("me/net", "sub/model.safetensors")),
        ("hf://me/net@v1/model.safetensors", HubFile("me/net", "model.safetensors", "v1")),
    ],
)
def test_addresses(address: str, parts: HubFile) -> None:
    assert hub.parse(address) == parts
    assert str(parts) == address


@pytest.mark.parametrize("address", ["hf://", "hf://net", "hf://me/net@", "hf://me/net@a@b/x", "hf://me /net"])
def test_no_addresses_are_one_line(address: str) -> None:
    with pytest.raises(UserError, match=r"is not an address of the Hub: write hf://OWNER/NAME\[@REVISION\]\[/FILE\]"):
        hub.parse(address)


def test_a_file_is_fetched_once(server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    first = hub.fetch(WEIGHTS)
    assert first.read_bytes() == CONTENT
    assert f"fetching hf://me/net/model.safetensors from {server.url}" in capsys.readouterr().err
    assert hub.fetch(WEIGHTS) == first
    assert [method for method, *_ in server.downloads] == ["HEAD", "GET", "HEAD"]
    assert capsys.readouterr().err == ""
    # A commit never changes: it is not asked for again.
    assert hub.fetch(HubFile("me/net", "model.safetensors", COMMIT)) == first
    assert len(server.downloads) == 3


def test_a_download_that_breaks_off_is_resumed(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    server.cut_after = 40_000
    assert hub.fetch(WEIGHTS).read_bytes() == CONTENT
    assert server.requests[-1] == ("GET", "/me/net/resolve/main/model.safetensors", "bytes=40000-")


def test_a_wrong_checksum_is_refused(server: Hub) -> None:
    server.checksum = "0" * 64
    with pytest.raises(UserError, match=r"hf://me/net/model\.safetensors in .*0000 is damaged: remove that file"):
        hub.fetch(WEIGHTS)


def test_a_copy_damaged_later_is_refused(server: Hub) -> None:
    copy = hub.fetch(WEIGHTS).resolve()
    copy.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(UserError, match="is damaged: remove that file"):
        hub.fetch(WEIGHTS)
    copy.unlink()
    assert hub.fetch(WEIGHTS).read_bytes() == CONTENT


def test_the_cache_serves_without_a_network(
    server: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    hub.fetch(WEIGHTS)
    server.status = 503
    assert hub.fetch(WEIGHTS).read_bytes() == CONTENT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    count = len(server.requests)
    capsys.readouterr()
    assert hub.fetch(WEIGHTS).read_bytes() == CONTENT
    with pytest.raises(hub.MissingFileError, match=r"hf://me/net/other\.bin is not in the cache.*HF_HUB_OFFLINE"):
        hub.fetch(HubFile("me/net", "other.bin"))
    with pytest.raises(hub.MissingFileError, match=r"`hf download me/net other\.bin --revision v1` puts"):
        hub.fetch(HubFile("me/net", "other.bin", "v1"))
    assert len(server.requests) == count
    assert capsys.readouterr().err == "", "nothing is fetched"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (HubFile("me/net", "other.bin"), "no such file on the Hub: hf://me/net/other.bin"),
        (HubFile("me/none", "model.safetensors"), "no such repository on the Hub, or a private one without HF_TOKEN"),
        (HubFile("me/net", "model.safetensors", "v9"), "no such revision on the Hub: hf://me/net@v9/model.safetensors"),
    ],
)
def test_what_is_not_there_is_one_line(source: HubFile, message: str, server: Hub) -> None:
    with pytest.raises(UserError) as error:
        hub.fetch(source)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_refusals_are_one_line(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.gated.add("me/net")
    with pytest.raises(UserError, match="requires accepting its terms on the Hub, and then HF_TOKEN"):
        hub.fetch(WEIGHTS)
    waits: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    server.status = 503
    with pytest.raises(UserError, match=rf"{server.url} answers 503 for hf://me/net/model\.safetensors: retry later"):
        hub.fetch(WEIGHTS)
    assert len(waits) > 1, "the client retries first"
    point_client_at("http://127.0.0.1:9", tmp_path / "hub", monkeypatch)
    with pytest.raises(UserError, match=r"cannot reach http://127\.0\.0\.1:9 for .*refused.*HF_ENDPOINT"):
        hub.fetch(WEIGHTS)


def test_a_server_that_is_no_hub_is_one_line(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.helpers.hub_server.COMMIT_HEADER", "X-Nothing")
    with pytest.raises(UserError, match=rf"{server.url} is not a Hub: Response from .* is missing the 'X-Repo-Commit'"):
        hub.fetch(WEIGHTS)
