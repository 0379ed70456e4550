"""Reading a bucket over a network that fails: what is tried again, and what the user reads."""

from __future__ import annotations

import base64
import hashlib
import itertools
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import google.auth.exceptions
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import bucket, copying, errors, retry
from butterflyer_jax.storage.remote_folder import RemoteFile, RemoteFolder, Stopped
from butterflyer_jax.storage.staging import Staging
from tests.helpers.fake_gcs import GCS, FakeGcs, _Handler, crc32c

DATA = bytes(range(256)) * 40


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    import gcsfs.retry

    async def no_sleep(_: float) -> None:
        """gcsfs waits a second and more before it tries again."""

    server = FakeGcs()
    server.store = {f"data/{name}": DATA + name.encode() for name in "abcde"}
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0)
    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=no_sleep))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield server
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.server_close()


def is_media(handler: _Handler) -> bool:
    return handler.path.startswith("/download")


def test_a_folder_is_listed_and_read_by_gcsfs(gcs: FakeGcs) -> None:
    requests: list[str] = []
    gcs.fault = lambda handler: requests.append(handler.path) or False
    folder = RemoteFolder(f"{GCS}/")
    files = folder.list("abd")
    assert list(files) == ["a", "b", "d"]
    assert (files["a"].num_bytes, files["a"].crc32c) == (len(DATA) + 1, crc32c(DATA + b"a"))
    assert len(requests) == 3, "three pages, and nothing a file"
    assert folder.read("b", 255, 258) == DATA[255:258]
    assert folder.read("b", len(DATA), len(DATA) + 1) == b"b"
    assert folder.num_bytes_read == 4


def test_the_version_is_that_of_the_content(gcs: FakeGcs) -> None:
    versions = []
    for content in (b"old", b"new", b"old"):
        gcs.store["data/a"] = content
        # Of the same process, which keeps listings otherwise.
        versions.append(RemoteFolder(GCS).list("a")["a"].version)
    assert versions[0] == versions[2] != versions[1]


def once(gcs: FakeGcs, fail: object) -> None:
    """Makes every second request for content fail."""
    count = iter(range(1000))
    gcs.fault = lambda handler: is_media(handler) and next(count) % 2 == 0 and (fail(handler) or True)


def drop(handler: _Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b"x" * 100)
    handler.close_connection = True


@pytest.mark.parametrize(
    "fail",
    [
        lambda handler: handler.refuse(503, "Backend error"),
        lambda handler: handler.refuse(429, "Too many requests"),
        lambda handler: handler.answer(b"short", 206),
        lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
        drop,
    ],
    ids=["503", "429", "short", "closed", "dropped"],
)
def test_what_may_pass_is_tried_again(gcs: FakeGcs, fail: object) -> None:
    folder = RemoteFolder(GCS)
    once(gcs, fail)
    assert all(folder.read("b", 0, 5000) == DATA[:5000] for _ in range(3))


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (404, "gone", "^no such file or folder: gs://bucket/data/b$"),
        (403, "nobody@x does not have storage.objects.get access", "no permission to read gs://bucket/data/b: give"),
        (
            401,
            "Anonymous caller does not have storage.objects.get access",
            "no valid Google credentials to read gs://bucket/data/b: run `gcloud",
        ),
        (400, "invalid argument", "^cannot read gs://bucket/data/b: Bad Request"),
        (503, "Backend error", "^cannot reach gs://bucket/data/b: Backend error.*check the network"),
    ],
)
def test_what_does_not_pass_is_one_line(
    gcs: FakeGcs, status: int, message: str, expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, count = RemoteFolder(GCS), []
    gcs.fault = lambda handler: is_media(handler) and (count.append(1), handler.refuse(status, message))[1]
    with pytest.raises(UserError, match=expected) as caught:
        folder.read("b", 0, 10)
    assert "\n" not in str(caught.value)
    assert len(count) == 1 or status == 503, "nothing is tried again that cannot pass"
    assert capfd.readouterr().err == "", "gcsfs prints tracebacks of its own"


def test_what_is_not_there_is_named(gcs: FakeGcs) -> None:
    with pytest.raises(UserError, match=r"^no such bucket: gs://other$"):
        RemoteFolder("gs://other/data").list("a")
    with pytest.raises(UserError, match=r"^no such file or folder: gs://bucket/none$"):
        RemoteFolder("gs://bucket/none").list("a")
    with pytest.raises(UserError, match=r"^no such file: gs://bucket/data/x and 1 more; was the data set copied"):
        RemoteFolder(GCS).list("axy")
    with pytest.raises(UserError, match="cannot read nope://x/y: Protocol not known: nope"):
        RemoteFolder("nope://x/y")


def test_a_network_that_is_gone(
    gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gcs.server_close()
    with pytest.raises(UserError, match=r"^cannot reach gs://bucket/data: Cannot connect to host 127\.0\.0\.1"):
        RemoteFolder(GCS).list("a")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == retry.ATTEMPTS - 1
    assert all(line.startswith("cannot reach gs://bucket/data yet: Cannot connect") for line in lines)


def test_a_connection_on_which_nothing_comes(gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "SILENCE_SECONDS", 0.1)
    silent = threading.Event()
    folder = RemoteFolder(GCS)
    once(gcs, lambda handler: silent.wait(30))
    assert folder.read("b", 0, 5000) == DATA[:5000]
    silent.set()


def test_what_is_under_way_can_be_broken_off(gcs: FakeGcs) -> None:
    arrived, silent = threading.Event(), threading.Event()
    folder, errors = RemoteFolder(GCS), []

    def wait(handler: _Handler) -> bool:
        arrived.set()
        return silent.wait(60)

    def read() -> None:
        try:
            folder.read("b", 0, 10)
        except Stopped as error:
            errors.append(error)

    gcs.fault = wait
    reader = threading.Thread(target=read)
    reader.start()
    assert arrived.wait(30)
    folder.stop()
    reader.join(30)
    silent.set()
    assert len(errors) == 1
    with pytest.raises(Stopped):
        folder.read("b", 0, 10)


def test_staging_from_gcs_with_faults(gcs: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "RANGE_BYTES", 1000)
    faults = itertools.cycle([drop, None, lambda handler: handler.refuse(503, "Backend error"), None, None])
    lock = threading.Lock()

    def fail(handler: _Handler) -> bool:
        with lock:
            fault = next(faults) if is_media(handler) else None
        return bool(fault) and (fault(handler) or True)

    with Staging(GCS, list("abcde"), 10**6, tmp_path) as staged:
        gcs.fault = fail
        staged.prefetch("abcde")
        assert {f"data/{name}": staged.open(name).readall() for name in "abcde"} == gcs.store


def test_staging_ends_at_once_though_the_network_is_silent(gcs: FakeGcs, tmp_path: Path) -> None:
    silent, arrived = threading.Event(), threading.Event()
    with Staging(GCS, list("abcde"), 10**6, tmp_path) as staged:
        gcs.fault = lambda handler: (arrived.set(), silent.wait(60))[1]
        staged.prefetch("abcde")
        assert arrived.wait(30)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert not [path for path in tmp_path.glob("*/*") if path.is_file()]
    assert not any(thread.name.startswith("staging-") for thread in threading.enumerate())
    silent.set()


@pytest.mark.parametrize(
    ("error", "transient", "expected"),
    [
        (aiohttp.ClientPayloadError("half"), True, "cannot reach"),
        (TimeoutError(), True, "cannot reach gs://b/f: TimeoutError;"),
        (ConnectionResetError(104, "Connection reset by peer"), True, "cannot reach"),
        (google.auth.exceptions.RefreshError("expired"), True, "no valid Google credentials"),
        (google.auth.exceptions.TransportError("Failed to resolve"), True, "cannot reach"),
        (PermissionError(13, "Permission denied"), False, "no permission"),
        (ValueError("Bucket is requester pays."), False, "cannot read gs://b/f: Bucket is requester pays"),
        (ZeroDivisionError("ours"), False, None),
    ],
)
def test_errors_of_every_kind(error: Exception, transient: bool, expected: str | None) -> None:
    assert errors.is_transient(error) == transient
    explained = errors.describe_remote(error, "gs://b/f")
    assert explained is None if expected is None else str(explained).startswith(expected)


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(DATA)
    md5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    with (tmp_path / "f").open("rb") as file:
        for right in ({}, {"crc32c": crc32c(DATA)}, {"md5": md5}):
            assert RemoteFile("f", len(DATA), "", **right).is_content_of(file.fileno())
            assert not RemoteFile("f", len(DATA) - 1, "", **right).is_content_of(file.fileno())
        for wrong in ({"crc32c": crc32c(b"")}, {"md5": crc32c(DATA)}):
            assert not RemoteFile("f", len(DATA), "", **wrong).is_content_of(file.fileno())


def test_staging_leaves_tensorflow_alone() -> None:
    imports = "import sys, butterflyer_jax.data.ingest.workspace, butterflyer_jax.storage.staging"
    code = f"{imports}; print({{'tensorflow', 'jax'}} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
