"""The local side of a run in a bucket; what happens with one is tested through the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from etils import epath

from butterflyer_jax.runs.sync import Mirror
from butterflyer_jax.storage import files

RUN = "gs://bucket/runs/first"


def test_a_local_run_is_written_where_it_lies(tmp_path: Path) -> None:
    mirror = Mirror(epath.Path(tmp_path))
    assert mirror.folder == tmp_path
    mirror.copy()
    mirror.close()
    assert tmp_path.exists()


@pytest.mark.parametrize("writes", [True, False])
def test_what_changed_is_copied_and_what_is_hidden_is_not(
    writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bytes]] = []
    there = {f"{RUN}/metrics.jsonl": b"1\n"}
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path))

    def copy(source: str | Path, target: str | Path) -> None:
        if str(source) in there:
            Path(target).write_bytes(there[str(source)])
        else:
            written.append((str(target), Path(source).read_bytes()))

    monkeypatch.setattr(files, "exists", there.__contains__)
    monkeypatch.setattr(files, "copy", copy)
    mirror = Mirror(epath.Path(RUN), writes)
    metrics = mirror.folder / "metrics.jsonl"
    assert metrics.exists() == writes
    metrics.write_bytes(b"1\n2\n")
    (mirror.folder / ".model").mkdir()
    (mirror.folder / ".model" / "config.json").write_text("{}")
    mirror.copy()
    mirror.copy()
    assert written == ([(f"{RUN}/metrics.jsonl", b"1\n2\n")] if writes else [])
    large = mirror.folder / "profile" / "trace"
    large.parent.mkdir()
    large.write_bytes(bytes(17 << 20))
    mirror.copy()
    assert len(written) == int(writes)
    mirror.close()
    assert [url for url, _ in written[1:]] == ([f"{RUN}/profile/trace"] if writes else [])
    assert not list((tmp_path / "runs").iterdir())
