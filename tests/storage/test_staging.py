"""Copies of remote files: whole or not there, reused, within their bound, and errors raised where they matter."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import bounded, copying, paths, retry, staging
from butterflyer_jax.storage.staging import Staging
from tests.helpers.fake_gcs import SHAKY, ShakyFileSystem

RANGE = 100
PATIENCE = 60


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(copying, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0)
    fsspec.register_implementation("shaky", ShakyFileSystem, clobber=True)
    ShakyFileSystem.reset()
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("staging-")]


def content(name: str, num_bytes: int = 950) -> bytes:
    return (name.encode() * num_bytes)[:num_bytes]


def put(*names: str, num_bytes: int = 950) -> dict[str, bytes]:
    """Makes the remote folder hold these files."""
    files = {name: content(name, num_bytes) for name in names}
    ShakyFileSystem.reset(**files)
    return files


def stage(folder: Path, names: object, max_bytes: int = 10**9) -> Staging:
    return Staging(SHAKY, list(names), max_bytes, folder)


def names_in(folder: Path) -> list[str]:
    """Returns the names of whole files, without their versions, and of others as they are."""
    files = (path for path in folder.glob("*/*") if path.is_file())
    return sorted(file.name if file.suffix == ".part" else file.stem for file in files)


def until(condition: Callable[[], object]) -> None:
    """Waits for what happens in another thread."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_files_are_copied_and_opened(tmp_path: Path) -> None:
    files = put(*"abcd") | {"empty": b"", "exact": content("e", 3 * RANGE)}
    ShakyFileSystem.reset(**files)
    with stage(tmp_path, files) as staged:
        staged.prefetch(list(files))
        opened = {name: staged.open(name) for name in files}
        assert {name: file.readall() for name, file in opened.items()} == files
        assert not any(file.writable() for file in opened.values())
        assert staged.copied_bytes == sum(map(len, files.values()))
        assert staged.waited_seconds > 0
    assert ShakyFileSystem.num_listings == 1
    assert len(ShakyFileSystem.reads) == 4 * 10 + 1 + 3
    assert os.pread(opened["a"].fileno(), 10**6, 0) == files["a"], "readable after the end"
    assert names_in(tmp_path) == sorted(files)


def test_any_file_system_will_do_and_the_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path))
    fsspec.filesystem("memory").pipe("/bucket/staged/a", b"x" * 250)
    for _ in range(2):
        with Staging("memory://bucket/staged/", ["a"], 10**6) as staged:
            assert staged.open("a").readall() == b"x" * 250
    assert staged.copied_bytes == 0
    assert names_in(tmp_path / "staged") == ["a"]


def test_later_runs_use_what_is_there_if_it_is_still_the_same(tmp_path: Path) -> None:
    files = put(*"abc")
    for expected in (3 * 950, 0):
        with stage(tmp_path, files) as staged:
            staged.prefetch(list(files))
            assert {name: staged.open(name).readall() for name in files} == files
            assert staged.copied_bytes == expected
    assert staged.waited_seconds == 0
    ShakyFileSystem.store["bucket/data/b"] = content("B")
    # Half of a file, as no program of ours leaves it.
    [path] = tmp_path.glob("*/c.*")
    os.truncate(path, 500)
    with stage(tmp_path, files) as staged:
        assert [staged.open(name).readall() for name in "abc"] == [files["a"], content("B"), files["c"]]
        assert staged.copied_bytes == 2 * 950


def test_the_soonest_needed_come_first_and_what_is_waited_for_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "NUM_FETCHERS", 1)
    put(*"abcdef")
    begun, go = threading.Event(), threading.Event()
    ShakyFileSystem.before_read = lambda *_: (begun.set(), go.wait(PATIENCE))
    with stage(tmp_path, "abcdef") as staged:
        staged.prefetch("abc")
        assert begun.wait(PATIENCE)
        waiting = threading.Thread(target=staged.open, args="d")
        waiting.start()
        until(lambda: staged._queue[0] == "d")
        staged.prefetch("ba")
        staged.prefetch("f")
        assert staged._queue == list("dfbac")
        go.set()
        waiting.join(PATIENCE)
        # Not asked for at all.
        assert staged.open("e").readall() == content("e")
        until(lambda: names_in(tmp_path) == list("abcdef"))
    order = list(dict.fromkeys(name for name, _ in ShakyFileSystem.reads))
    assert [name for name in order if name != "e"] == list("adfbc")


def flip(start: int, data: bytes) -> bytes:
    return data if start else bytes([data[0] ^ 1]) + data[1:]


def test_wrong_bytes_are_fetched_once_more(tmp_path: Path) -> None:
    files = put("a")
    ShakyFileSystem.spoil = lambda _, start, data: flip(start, data) if len(ShakyFileSystem.reads) <= 10 else data
    with stage(tmp_path, files) as staged:
        assert staged.open("a").readall() == files["a"]
        assert staged.copied_bytes == 2 * 950
    ShakyFileSystem.store["bucket/data/a"] = content("A")
    ShakyFileSystem.spoil = lambda _, start, data: flip(start, data)
    with (
        stage(tmp_path, files) as staged,
        pytest.raises(UserError, match=rf"^{SHAKY}/a arrived twice with another checksum than the bucket lists: run"),
    ):
        staged.open("a")
    assert names_in(tmp_path) == ["a"], "the old one"


def test_an_unsteady_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "ATTEMPTS", 20)
    files = put(*"abcdefgh")
    count = iter(range(10**6))

    def fail(*_: object) -> None:
        if next(count) % 3 == 0:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    seen: set[tuple[str, int]] = set()

    def cut(name: str, start: int, data: bytes) -> bytes:
        if (name, start) in seen or start % 3:
            return data
        seen.add((name, start))
        return data[:-1]

    ShakyFileSystem.before_read, ShakyFileSystem.spoil = fail, cut
    with stage(tmp_path, files) as staged:
        staged.prefetch(list(files))
        assert {name: staged.open(name).readall() for name in files} == files
        assert staged.copied_bytes == 8 * 950


def test_an_error_is_reported_where_the_file_is_opened_and_may_pass(tmp_path: Path) -> None:
    files = put(*"abc")
    is_broken = True

    def fail(name: str, _: int) -> None:
        if name == "b" and is_broken:
            raise TimeoutError("timed out")

    ShakyFileSystem.before_read = fail
    with stage(tmp_path, files) as staged:
        staged.prefetch("abc")
        assert staged.open("a").readall() == files["a"]
        assert staged.open("c").readall() == files["c"]
        until(lambda: staged._files["b"].error)
        for _ in range(2):
            with pytest.raises(UserError, match=rf"^cannot reach {SHAKY}/b: timed out; check the network"):
                staged.open("b")
        is_broken = False
        assert staged.open("b").readall() == files["b"]
    assert names_in(tmp_path) == list("abc")


def test_all_who_wait_for_a_file_get_it_or_its_error(tmp_path: Path) -> None:
    put("a")
    go = threading.Event()
    results: list[object] = []

    def wait_and_fail(*_: object) -> None:
        go.wait(PATIENCE)
        raise FileNotFoundError

    def read() -> None:
        try:
            results.append(staged.open("a").readall())
        except UserError as error:
            results.append(str(error))

    def read_together() -> None:
        threads = [threading.Thread(target=read) for _ in range(8)]
        [thread.start() for thread in threads]
        until(lambda: staged._files["a"].waiting == 8)
        go.set()
        [thread.join(PATIENCE) for thread in threads]

    with stage(tmp_path, "a") as staged:
        ShakyFileSystem.before_read = wait_and_fail
        read_together()
        go.clear()
        ShakyFileSystem.before_read = lambda *_: go.wait(PATIENCE)
        read_together()
    assert results == [f"no such file or folder: {SHAKY}/a"] * 8 + [content("a")] * 8


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = put("a")

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("pwrite", "fsync", "truncate"):
        with (
            monkeypatch.context() as patch,
            stage(tmp_path, files) as staged,
            pytest.raises(
                UserError, match=r"^cannot write copies .*: No space left on device; make space, set data.st"
            ),
        ):
            patch.setattr(bounded.os, name, refuse)
            staged.open("a")
        assert names_in(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write copies of remote files to .*: (File exists|Not a directory)"):
        stage(tmp_path / "file", files)


def test_the_end_comes_at_once_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    put(*"abc")
    go, errors = threading.Event(), []

    def before_read(_: str, start: int) -> None:
        if start >= 3 * RANGE:
            go.wait(PATIENCE)

    def read() -> None:
        try:
            staged.open("a")
        except RuntimeError as error:
            errors.append(str(error))

    ShakyFileSystem.before_read = before_read
    with pytest.raises(KeyboardInterrupt), stage(tmp_path, "abc") as staged:
        staged.prefetch("abc")
        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: staged._files["a"].waiting and staged.copied_bytes)
        assert any(name.endswith(".part") for name in names_in(tmp_path))
        # What is under way in this file system cannot be broken off, in gcsfs it can.
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    reader.join(PATIENCE)
    assert errors == [f"the staging of {SHAKY} was closed before a was opened"]
    assert not any(name.endswith(".part") for name in names_in(tmp_path))
    staged.close()
