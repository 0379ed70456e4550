"""The cache of what is made of the photos of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from butterflyer_jax.evaluation import feature_cache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.fixture
def keep() -> Callable[..., list[float]]:
    """Keeps the numbers that it is called with; returns those that it gets back."""

    def keep(*numbers: float, fingerprint: str = "a", depends_on: object = "x", kind: str = "kind") -> list[float]:
        data: Any = SimpleNamespace(fingerprint=fingerprint)
        found = feature_cache.keep(kind, data, depends_on, lambda: {"of": np.array(numbers)})
        kept: list[float] = found["of"].tolist()
        return kept

    return keep


def test_the_same_is_made_once_and_all_else_anew(keep: Callable[..., list[float]]) -> None:
    assert keep(1.5) == keep(2.5) == [1.5]
    assert keep(3.5, fingerprint="b") == [3.5] and keep(4.5, depends_on=["x", 1]) == [4.5]
    assert keep(5.5, kind="other") == [5.5]
    assert [keep(0, fingerprint="b"), keep(0, depends_on=["x", 1]), keep(0, kind="other")] == [[3.5], [4.5], [5.5]]
    # Fake photos are those of a seed, and no data set.
    assert [keep(n, fingerprint="fake") for n in (6.0, 7.0)] == [[6.0], [7.0]]


@pytest.mark.parametrize("damage", [b"", b"PK\3\4", None])
def test_a_damaged_file_is_made_anew(folder: Path, keep: Callable[..., list[float]], damage: bytes | None) -> None:
    keep(*range(100))
    [file] = folder.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert keep(1, 2) == keep(3, 4) == [1, 2]


def test_the_folder_has_a_bound(
    folder: Path, keep: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 10_000)
    for number in range(5):
        keep(*[float(number)] * 500, fingerprint=str(number))
    assert sum(file.stat().st_size for file in folder.rglob("*.npz")) <= 10_000
    # What is larger than all of it is not kept.
    keep(*[1.0] * 2000, fingerprint="large")
    assert keep(2.0, fingerprint="large") == [2.0]


def test_what_cannot_be_written_is_made_each_time(
    folder: Path, keep: Callable[..., list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    with caplog.at_level("INFO"):
        assert keep(1.0) == [1.0] and keep(2.0) == [2.0]
    assert "features cannot be kept in" in caplog.text
