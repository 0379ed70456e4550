"""The lock of a run in a bucket: one holder, who renews it; a lost one keeps nobody out for long."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import gcsfs
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import bucket_lock, locks
from butterflyer_jax.storage.bucket_lock import BucketLock
from tests.helpers import gcs_server

pytestmark = pytest.mark.gcs

URL = "gs://butterflies/run/.lock"
OBJECT = URL.removeprefix("gs://")


@pytest.fixture(scope="module")
def shared_server() -> Iterator[gcs_server.Gcs]:
    with gcs_server.serve() as server:
        yield server


@pytest.fixture
def server(shared_server: gcs_server.Gcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[gcs_server.Gcs]:
    for name, value in shared_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_lock, "MIN_SECONDS", 0)
    gcsfs.GCSFileSystem.clear_instance_cache()
    yield shared_server
    shared_server.fault = gcs_server.no_fault
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.fixture
def held(server: gcs_server.Gcs) -> Iterator[BucketLock]:
    lock = BucketLock(URL)
    assert lock.try_acquire("busy") is None
    yield lock
    lock.release()


def test_a_second_holder_is_refused_once_the_first_has_renewed(held: BucketLock, server: gcs_server.Gcs) -> None:
    second = BucketLock(URL)
    waiting = second.try_acquire("busy")
    assert waiting and "is held (by process " in waiting and "until it has not been renewed for 120 s" in waiting
    assert second.try_acquire("busy"), "nobody renewed it meanwhile"
    held.check()
    with pytest.raises(UserError, match=r"^busy \(by process \d+ of .+ since 2.* UTC, renewed \d s ago\)$"):
        second.try_acquire("busy")
    held.release()
    assert OBJECT not in server.names("butterflies/run")
    assert second.try_acquire("busy") is None
    second.release()


def test_a_lost_holder_is_followed_and_ends_if_it_comes_back(
    held: BucketLock, server: gcs_server.Gcs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    second = BucketLock(URL)
    assert second.try_acquire("busy"), "as long as it may live"
    monkeypatch.setattr(bucket_lock, "STALE_SECONDS", 0)
    assert second.try_acquire("busy") is None
    assert f"{URL} is taken over: it was held by process" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"was taken by another training \(by process \d+ of .*this one ends"):
        held.check()
    held.release()
    assert OBJECT in server.names("butterflies/run"), "it is the second one's"
    second.check()
    second.release()


def test_a_restart_on_the_same_machine_does_not_wait(held: BucketLock, server: gcs_server.Gcs) -> None:
    found = json.loads(server.get(OBJECT))
    server.put(OBJECT, json.dumps(found | {"machine": "this one"}).encode())
    assert BucketLock(URL, "another").try_acquire("busy")
    again = BucketLock(URL, "this one")
    assert again.try_acquire("busy") is None
    again.release()


def test_a_network_that_loses_answers_loses_no_lock(held: BucketLock, server: gcs_server.Gcs) -> None:
    number = iter(range(100))
    server.fault = lambda method, path, _: "lose" if method == "POST" and next(number) == 0 else ""
    held.check()
    assert server.faults.pop("lose") == 1
    held.check()
    # None at all for a while: it is renewed later.
    server.fault = lambda *_: "403"
    held.check()
    server.fault = gcs_server.no_fault
    held.check()


def test_what_was_removed_or_written_by_hand(held: BucketLock, server: gcs_server.Gcs) -> None:
    server.delete(OBJECT)
    held.check()
    server.delete(OBJECT)
    server.put(OBJECT, b"no lock of ours")
    with pytest.raises(UserError, match=r"taken by another training \(by process \? of \? since \?"):
        held.check()
    assert "by process ? of ?" in (BucketLock(URL).try_acquire("busy") or "")


def test_it_is_renewed_by_itself(server: gcs_server.Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_lock, "RENEW_SECONDS", 0.01)
    lock, second = BucketLock(URL), BucketLock(URL)
    server.delete(OBJECT)
    assert lock.try_acquire("busy") is None
    deadline = time.monotonic() + 30
    with pytest.raises(UserError, match="busy"):
        while time.monotonic() < deadline:
            second.try_acquire("busy")
    lock.release()


def test_a_lock_of_a_bucket_holds_off_this_machine_by_its_cache(
    server: gcs_server.Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path))
    with locks.hold(URL, "busy") as check:
        assert [path.parent.name for path in tmp_path.rglob("*.lock")] == ["locks"]
        with pytest.raises(UserError, match=r"^busy$"), locks.hold(URL, "busy"):
            pass
        machine = json.loads(server.get(OBJECT))["machine"]
        check()
    assert OBJECT not in server.names("butterflies/run")
    # As a process leaves it that was killed.
    server.put(OBJECT, json.dumps({"machine": machine}).encode())
    with locks.hold(URL, "busy", meanwhile=lambda: pytest.fail("it waits")):
        pass
