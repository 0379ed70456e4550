from __future__ import annotations

import errno
from pathlib import Path

import pytest
from etils import epath

from butterflyer_jax.storage import files, paths


def test_paths_are_absolute_where_they_are_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/biologist")
    assert paths.path("a/b") == tmp_path / "a" / "b"
    assert str(paths.path("~/a")) == "/home/biologist/a"
    assert str(paths.path("gs://bucket/a")) == "gs://bucket/a"


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
    with pytest.raises(OSError, match="No space"):
        files.write_text(tmp_path / "a.txt", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_range_of_a_file_is_read_wherever_it_lies(tmp_path: Path) -> None:
    import fsspec

    (tmp_path / "a").write_bytes(b"0123456789")
    fsspec.filesystem("memory").pipe("/bucket/a", b"0123456789")
    for name in (tmp_path / "a", "memory://bucket/a"):
        assert files.read_range(name, 3, 4) == b"3456"
        assert files.read_range(name, 8, 4) == b"89"


def test_files_are_moved_within_a_disk_and_between_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    files.move(tmp_path / "a", tmp_path / "b")

    def another_disk(self: epath.Path, target: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(type(epath.Path(tmp_path)), "replace", another_disk)
    files.move(tmp_path / "b", tmp_path / "c")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("c", "x")]
