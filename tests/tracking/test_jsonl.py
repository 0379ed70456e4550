from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from butterflyer_jax.tracking import JsonlTracker


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    with contextlib.closing(JsonlTracker(tmp_path / "m.jsonl", 0)) as tracker:
        tracker.log({"step": 1, "loss": 0.5})
        assert json.loads((tmp_path / "m.jsonl").read_text()) == {"step": 1, "loss": 0.5}


def test_going_on_takes_out_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with contextlib.closing(JsonlTracker(path, 0)) as tracker:
        for step in range(1, 8):
            tracker.log({"step": step, "split": "train"})
    # Killed while it wrote.
    with path.open("a") as file:
        file.write('{"step": 8, "lo')
    with contextlib.closing(JsonlTracker(path, 5)) as tracker:
        assert steps(path) == [1, 2, 3, 4, 5]
        tracker.log({"step": 6, "split": "train"})
    assert steps(path) == [1, 2, 3, 4, 5, 6]
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


def test_damaged_and_foreign_lines_are_left_out_with_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.jsonl"
    good = b'{"step": 1, "split": "train"}'
    path.write_bytes(
        b"\n".join([good, b"\xff\x00binary", b"[1]", b'{"hello": 1}', b'{"step": "x", "split": 1}', b"[" * 10**5, good])
    )
    with contextlib.closing(JsonlTracker(path, 5)):
        pass
    assert steps(path) == [1, 1]
    assert f"{path}: 5 damaged lines are left out" in capfd.readouterr().err
    path.write_bytes(b"")
    with contextlib.closing(JsonlTracker(path, 5)):
        pass
    assert path.read_bytes() == b""
