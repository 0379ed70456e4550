"""A single file from the network."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import download
from tests.helpers import web
from tests.helpers.fake_gcs import FakeGcs

DATA = bytes(range(256)) * 20_000


class Web(web.Server):
    """A plain web server of a folder, which knows no ranges; `cut` drops the end of what it sends."""

    cut = 0


class _Handler(web.FolderHandler):
    server: Web

    def copyfile(self, source, outputfile) -> None:  # noqa: ANN001
        data = source.read()
        outputfile.write(data[: len(data) - self.server.cut])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Web, Path, str]]:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "www"
    folder.mkdir()
    with Web(functools.partial(_Handler, directory=str(folder))) as server:
        yield server, folder, server.url


def test_a_file_comes_once_and_serves_without_the_network(site: tuple[Web, Path, str], tmp_path: Path) -> None:
    server, folder, url = site
    (folder / "w.pth").write_bytes(DATA)
    first = download.cached_file(f"{url}/w.pth?download=1", "weights")
    assert first.name.endswith("-w.pth")
    assert first.read_bytes() == DATA
    assert first.parent.parent == tmp_path / "cache" / "weights"
    before = first.stat().st_mtime_ns
    assert download.cached_file(f"{url}/w.pth?download=1", "weights") == first
    assert first.stat().st_mtime_ns == before
    # Another content is another file.
    (folder / "w.pth").write_bytes(DATA[1:])
    second = download.cached_file(f"{url}/w.pth?download=1", "weights")
    assert second.read_bytes() == DATA[1:]
    server.server_close()
    fsspec.filesystem("http").clear_instance_cache()
    assert download.cached_file(f"{url}/w.pth?download=1", "weights") == second
    with pytest.raises(UserError, match="cannot reach http"):
        download.cached_file(f"{url}/other.pth", "weights")


def test_what_does_not_come_whole_leaves_nothing(site: tuple[Web, Path, str], tmp_path: Path) -> None:
    server, folder, url = site
    (folder / "w.pth").write_bytes(DATA)
    server.cut = 1000
    with pytest.raises(UserError, match="cannot re"):
        download.cached_file(f"{url}/w.pth", "weights")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(UserError, match=r"no such file: http.*none\.pth"):
        download.cached_file(f"{url}/none.pth", "weights")


def test_a_file_of_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gcsfs

    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path))
    server = FakeGcs()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    gcsfs.GCSFileSystem.clear_instance_cache()
    try:
        server.store["models/w.pth"] = DATA
        assert download.cached_file("gs://bucket/models/w.pth", "weights").read_bytes() == DATA
        with pytest.raises(UserError, match=r"no such file: gs://bucket/models/none\.pth"):
            download.cached_file("gs://bucket/models/none.pth", "weights")
    finally:
        gcsfs.GCSFileSystem.clear_instance_cache()
        server.server_close()
