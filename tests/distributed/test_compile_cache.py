"""The cache of compiled programs: damaged entries are found, a place that cannot be written costs time alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import filelock
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import compilation_cache, lru_cache

from butterflyer_jax.distributed import compile_cache

VALUE = np.random.default_rng(0).bytes(5000)


@pytest.fixture
def jax_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No folder of the user's; JAX's own cache is as it was afterwards."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    # What reads and writes the entries: without it, JAX itself would read those with checksums, or we those without.
    cache = compilation_cache._cache
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    compilation_cache._cache = cache


def test_an_entry_comes_back(tmp_path: Path) -> None:
    compile_cache.CheckedCache(tmp_path).put("step", VALUE)
    again = compile_cache.CheckedCache(tmp_path)
    assert again.get("step") == VALUE
    assert again.get("other") is None


def test_every_flipped_bit_is_found_and_the_entry_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = compile_cache.CheckedCache(tmp_path)
    cache.put("step", VALUE)
    entry = tmp_path / "step-cache"
    content = entry.read_bytes()
    places = [*range(30), *np.random.default_rng(1).integers(0, len(content), 40), len(content) - 1]
    for place in map(int, places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        entry.write_bytes(damaged)
        assert cache.get("step") is None
        assert not entry.exists()
        assert capsys.readouterr().err == f"the compiled program {entry} is damaged: it is removed and compiled again\n"
        cache.put("step", VALUE)
        assert cache.get("step") == VALUE
    for cut in (b"", content[:10], content[:-1]):
        entry.write_bytes(cut)
        assert cache.get("step") is None


def test_what_a_killed_process_left_does_not_stop_later_entries(tmp_path: Path) -> None:
    (tmp_path / "half-cache").write_bytes(VALUE)
    cache = compile_cache.CheckedCache(tmp_path)
    assert not (tmp_path / "half-cache").exists()
    cache.put("step", VALUE)
    assert cache.get("step") == VALUE


def test_the_entry_that_was_used_longest_ago_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_cache, "MAX_BYTES", 3 * 5100)
    earlier = compile_cache.CheckedCache(tmp_path)
    for key in ("first", "second"):
        earlier.put(key, VALUE)
    cache = compile_cache.CheckedCache(tmp_path)
    cache.put("third", VALUE)
    assert cache.get("first") == VALUE
    cache.put("fourth", VALUE)
    assert {key for key in ("first", "second", "third", "fourth") if cache.get(key)} == {"first", "third", "fourth"}
    cache.put("fifth", VALUE)
    assert cache.get("first") is None and cache.get("fifth") == VALUE


def test_an_entry_is_added_without_a_look_at_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = compile_cache.CheckedCache(tmp_path)
    cache.put("step", VALUE)
    # JAX's own cache fails here.
    (tmp_path / "step-atime").unlink()
    cache.put("other", VALUE)
    assert cache.get("other") == VALUE and not capsys.readouterr().err


def test_jax_keeps_its_programs_there(tmp_path: Path, jax_cache: None, capsys: pytest.CaptureFixture[str]) -> None:
    compile_cache.keep_in(tmp_path / "xla")

    def answer() -> float:
        jax.clear_caches()
        return float(jax.jit(lambda x: jnp.sin(x).sum() * 3)(jnp.arange(7.0)))

    first = answer()
    [entry] = [path for path in (tmp_path / "xla").glob("*-cache") if "lambda" in path.name]
    content = entry.read_bytes()
    entry.write_bytes(content[:100] + bytes([content[100] ^ 4]) + content[101:])
    assert answer() == first
    assert f"the compiled program {entry} is damaged" in capsys.readouterr().err
    assert entry.exists() and answer() == first
    assert not capsys.readouterr().err


def test_a_place_that_cannot_be_written_stops_nothing(
    tmp_path: Path, jax_cache: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    compile_cache.keep_in(tmp_path / "file" / "xla")
    assert (
        f"compiled programs cannot be kept in {tmp_path / 'file' / 'xla'} (Not a directory)" in capsys.readouterr().err
    )
    cache = compile_cache.CheckedCache(tmp_path / "xla")
    (tmp_path / "xla" / "step-cache").mkdir()
    (tmp_path / "xla" / "step-atime").write_bytes(bytes(8))
    assert cache.get("step") is None
    assert capsys.readouterr().err.count("compiled programs cannot be kept in") == 1


def test_a_lock_that_another_process_holds_is_not_waited_for_for_ever(
    tmp_path: Path, jax_cache: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = lru_cache.LRUCache.__init__.__kwdefaults__
    monkeypatch.setattr(lru_cache.LRUCache.__init__, "__kwdefaults__", defaults | {"lock_timeout_secs": 0.01})
    with filelock.FileLock(tmp_path / ".lockfile"):
        compile_cache.keep_in(tmp_path)
    assert f"compiled programs cannot be kept in {tmp_path}" in capsys.readouterr().err


def test_a_folder_of_the_users_has_checksums_too_and_a_bucket_is_left_to_jax(
    tmp_path: Path, jax_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    compile_cache.keep_in(tmp_path / "ours")
    jax.jit(lambda x: x * 5 + 1)(jnp.arange(7.0))
    assert not (tmp_path / "ours").exists()
    entries = list((tmp_path / "mine" / "checked").glob("*-cache"))
    assert entries and all(entry.read_bytes().startswith(b"butterflyer crc32c ") for entry in entries)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "gs://bucket/mine")
    before = jax.config.jax_compilation_cache_dir
    compile_cache.keep_in(tmp_path / "ours")
    assert jax.config.jax_compilation_cache_dir == before and not (tmp_path / "ours").exists()
