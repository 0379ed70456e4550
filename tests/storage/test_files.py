from __future__ import annotations

import errno
import os
from pathlib import Path

import fsspec
import pytest
from etils import epath

from butterflyer_jax import UserError
from butterflyer_jax.storage import bucket, files, find, paths, retry


def test_paths_are_absolute_where_they_are_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/biologist")
    assert paths.path("a/b") == tmp_path / "a" / "b"
    assert str(paths.path("~/a")) == "/home/biologist/a"
    assert str(paths.path("gs://bucket/a")) == "gs://bucket/a"


@pytest.mark.parametrize("name", [Path("gs://bucket/runs/first"), "gs:/bucket/runs/first"])
def test_an_address_that_lost_a_slash_is_no_local_path(name: str | Path) -> None:
    with pytest.raises(UserError, match=r"^gs:/bucket/runs/first: an address has two slashes: gs://bucket/runs/first$"):
        paths.path(name)


def test_an_address_without_a_bucket_is_refused() -> None:
    for name in ("gs://", "gs:///"):
        with pytest.raises(UserError, match="names no bucket: gs://BUCKET/FOLDER"):
            paths.path(name)


def test_text_and_tables_are_written_whole(tmp_path: Path) -> None:
    files.write_text(tmp_path / "new" / "a.txt", "ö")
    files.write_csv(tmp_path / "a.csv", ["x", "y"], [(1, 'say "hi", twice'), (2, "")])
    assert (tmp_path / "new" / "a.txt").read_text() == "ö"
    assert (tmp_path / "a.csv").read_text() == 'x,y\n1,"say ""hi"", twice"\n2,\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "new"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_text(tmp_path / "a.txt", "old")
    write = type(epath.Path(tmp_path)).write_bytes

    def fail(self: epath.Path, data: bytes) -> None:
        write(self, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(epath.Path(tmp_path)), "write_bytes", fail)
    with pytest.raises(UserError, match=r"cannot write .*a\.txt: No space"):
        files.write_text(tmp_path / "a.txt", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_range_of_a_file_is_read_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    fsspec.filesystem("memory").pipe("/bucket/a", b"0123456789")
    for name in (tmp_path / "a", "memory://bucket/a"):
        assert files.read_range(name, 3, 4) == b"3456"
        assert files.read_range(name, 8, 4) == b"89"


def test_files_are_moved_within_a_disk_and_between_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    files.move(tmp_path / "a", tmp_path / "b")

    replace = type(epath.Path(tmp_path)).replace

    def another_disk(self: epath.Path, target: epath.Path) -> epath.Path:
        if self.name == "b":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(type(epath.Path(tmp_path)), "replace", another_disk)
    files.move(tmp_path / "b", tmp_path / "c")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("c", "x")]


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder whose name means something to patterns, on a disk and in a bucket."""
    if request.param == "disk":
        return str(tmp_path / "run[1]?")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe("/bucket/other", b"")
    monkeypatch.setattr(bucket, "connect", lambda url: (memory, url.removeprefix("gs:/")))
    return "gs://bucket/run[1]?"


def test_a_folder_is_listed_and_globbed_by_its_literal_name(folder: str) -> None:
    assert not files.exists(folder)
    for name in ("a.txt", "b[2].txt", "below/c.txt"):
        files.write_text(f"{folder}/{name}", name)
    assert files.exists(folder) and files.is_folder(folder) and not files.is_folder(f"{folder}/a.txt")
    assert [path.name for path in find.glob(folder, "*.txt")] == ["a.txt", "b[2].txt"]
    assert [path.name for path in find.glob(folder, "*/*.txt")] == ["c.txt"]
    assert [os.fspath(path).removeprefix(folder) for path in find.files_below(folder)] == [
        "/a.txt",
        "/b[2].txt",
        "/below/c.txt",
    ]
    assert files.read_text(f"{folder}/below/c.txt") == "below/c.txt"


def test_folders_are_copied_and_removed(folder: str, tmp_path: Path) -> None:
    files.write_text(tmp_path / "source" / "below" / "a", "1")
    files.copy(tmp_path / "source", folder)
    files.copy(folder, tmp_path / "again")
    files.copy(f"{folder}/below/a", tmp_path / "b")
    assert [(tmp_path / name).read_text() for name in ("again/below/a", "b")] == ["1", "1"]
    files.remove(folder)
    files.remove(folder)
    assert not files.exists(folder)


def test_a_file_is_opened_wherever_it_lies(folder: str) -> None:
    files.write_bytes(f"{folder}/a", bytes(range(200)))
    with files.open_file(f"{folder}/a") as file:
        assert file.read(3) == bytes(range(3))
        assert file.seek(-10, os.SEEK_END) == 190
        assert file.read() == bytes(range(190, 200))
    with pytest.raises(UserError, match="no such file"):
        files.open_file(f"{folder}/none")


def test_a_link_that_leads_back_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "up").symlink_to("..")
    (tmp_path / "below" / "b").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find.files_below(tmp_path)] == ["a", "below/b"]


def test_requests_to_a_bucket_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0)
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/bucket/a", b"content")
    calls: list[str] = []

    def fail_twice(path: str, *_: object) -> bytes:
        calls.append(path)
        if len(calls) < 3:
            raise ConnectionResetError(104, "Connection reset by peer")
        return b"content"

    monkeypatch.setattr(type(filesystem), "cat_file", lambda self, *arguments: fail_twice(*arguments))
    assert files.read_bytes("memory://bucket/a") == b"content"
    assert len(calls) == 3
