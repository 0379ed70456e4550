"""The bound of all copies together: least recently used first, several data sets, several processes, kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.storage import staging
from butterflyer_jax.storage.bounded import BoundedFolder
from butterflyer_jax.storage.staging import Staging
from tests.conftest import ROOT
from tests.helpers.fake_gcs import ShakyFileSystem
from tests.storage.test_staging import PATIENCE, content, names_in, put, small_ranges, stage, until

__all__ = ["small_ranges"]


def num_bytes_in(folder: Path) -> int:
    sizes = []
    for path in folder.glob("*/*"):
        try:
            sizes.append(path.stat().st_size)
        except FileNotFoundError:
            continue
    return sum(sizes)


@pytest.fixture
def largest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that takes the size of the folder whenever room was made in it."""
    sizes: list[int] = []
    reserve = BoundedFolder.reserve

    def watch(self: BoundedFolder, *arguments: object) -> object:
        result = reserve(self, *arguments)
        with self.alone():
            sizes.append(num_bytes_in(self.root))
        return result

    monkeypatch.setattr(BoundedFolder, "reserve", watch)
    return sizes


def test_a_data_set_larger_than_the_bound(tmp_path: Path, largest: list[int]) -> None:
    names = [f"n{number}" for number in range(12)]
    files = put(*names)
    order = random.Random(0)
    with stage(tmp_path, names, max_bytes=4 * 950 + 10) as staged:
        for epoch in range(4):
            order.shuffle(names)
            staged.prefetch(names)
            for name in names:
                assert staged.open(name).readall() == files[name]
            if epoch == 0:
                assert staged.copied_bytes == 12 * 950
        assert staged.copied_bytes < 4 * 12 * 950, "what is still there is not fetched again"
    assert max(largest) <= 4 * 950 + 10


def test_what_was_asked_for_waits_until_it_is_opened(tmp_path: Path, largest: list[int]) -> None:
    files = put(*"abcdef")
    with stage(tmp_path, "abcdef", max_bytes=3 * 950) as staged:
        staged.prefetch("abcdef")
        until(lambda: staged._no_room_until and names_in(tmp_path) == list("abc"))
        opened = staged.open("a")
        until(lambda: names_in(tmp_path) == list("bcd"))
        assert opened.readall() == files["a"], "readable though removed"
        # Out of turn: what is needed last makes room, and comes again.
        assert staged.open("f").readall() == files["f"]
        assert [staged.open(name).readall() for name in "bcde"] == [files[name] for name in "bcde"]
        assert staged.open("a").readall() == files["a"]
    assert max(largest) <= 3 * 950


def test_the_least_recently_used_of_all_data_sets_goes_first(tmp_path: Path) -> None:
    copies: dict[str, Path] = {}
    for data_set in ("one", "two"):
        ShakyFileSystem.reset()
        ShakyFileSystem.store = {f"bucket/{data_set}/{name}": content(name) for name in "ab"}
        with Staging(f"shaky://bucket/{data_set}", "ab", 10**9, tmp_path) as staged:
            for name in "ab":
                staged.open(name)
                [copies[f"{data_set}/{name}"]] = {*tmp_path.glob(f"*/{name}.*")} - {*copies.values()}
    now = time.time()
    for name, minutes in (("one/a", 10), ("two/a", 11), ("two/b", 0), ("one/b", 20)):
        os.utime(copies[name], (now - minutes * 60,) * 2)
    put("x")
    with stage(tmp_path, "x", max_bytes=3 * 950 + 1) as staged:
        staged.open("x")
    assert [name for name, path in copies.items() if path.exists()] == ["one/a", "two/b"]


def test_a_file_beyond_the_bound_is_refused_by_name(tmp_path: Path) -> None:
    put("a")
    put("b", num_bytes=2000)
    with pytest.raises(
        UserError, match=r"^shaky://bucket/data/b takes .* GiB, more than .*: set data.staging_gib higher"
    ):
        stage(tmp_path, "b", max_bytes=1999)


def test_a_smaller_bound_holds_from_the_start(tmp_path: Path) -> None:
    put(*"abcd")
    with stage(tmp_path, "abcd") as staged:
        [staged.open(name) for name in "abcd"]
    with stage(tmp_path, "abcd", max_bytes=2 * 950):
        assert num_bytes_in(tmp_path) == 2 * 950


def test_what_vanishes_is_fetched_again(tmp_path: Path) -> None:
    files = put(*"ab")
    with stage(tmp_path, "ab") as staged:
        for prefetched in (False, True):
            staged.open("a")
            [path] = tmp_path.glob("*/a.*")
            if prefetched:
                staged.prefetch("a")
                until(lambda: not staged._files["a"].copy)
            path.unlink()
            assert staged.open("a").readall() == files["a"]
            path.unlink()
            staged.prefetch("a")
            until(path.exists)
        assert staged.copied_bytes == 5 * 950


operations = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 7)),
        st.tuples(st.just("prefetch"), st.lists(st.integers(0, 7), max_size=8)),
        st.tuples(st.just("vanish"), st.integers(0, 7)),
    ),
    max_size=25,
)


@hypothesis.settings(max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(st.lists(st.integers(0, 1000), min_size=8, max_size=8), st.integers(1000, 4000), operations)
def test_the_bound_and_the_content_hold_whatever_is_done(
    largest: list[int], tmp_path_factory: pytest.TempPathFactory, sizes: list[int], max_bytes: int, todo: Sequence
) -> None:
    folder = tmp_path_factory.mktemp("staged")
    files = {f"n{number}": content(f"n{number}", size) for number, size in enumerate(sizes)}
    ShakyFileSystem.reset(**files)
    largest.clear()
    with stage(folder, files, max_bytes) as staged:
        for operation, argument in todo:
            if operation == "open":
                assert staged.open(f"n{argument}").readall() == files[f"n{argument}"]
            elif operation == "prefetch":
                staged.prefetch([f"n{number}" for number in argument])
            else:
                for path in folder.glob(f"*/n{argument}.*"):
                    if path.suffix != ".part":
                        path.unlink(missing_ok=True)
    assert max([num_bytes_in(folder), *largest]) <= max_bytes


def test_readers_of_the_same_and_of_other_files_at_once(tmp_path: Path, largest: list[int]) -> None:
    files = put(*"abcdefgh")
    wrong: list[object] = []

    def read(staged: Staging, seed: int) -> None:
        order = random.Random(seed)
        for _ in range(30):
            name = order.choice("abcdefgh")
            staged.prefetch(order.choices("abcdefgh", k=2))
            if staged.open(name).readall() != files[name]:
                wrong.append(name)

    # Two that share a folder are as two processes: they know nothing of each other.
    with stage(tmp_path, files, 3000) as one, stage(tmp_path, files, 3000) as two:
        threads = [threading.Thread(target=read, args=(staged, seed)) for seed in range(3) for staged in (one, two)]
        [thread.start() for thread in threads]
        [thread.join(PATIENCE * 2) for thread in threads]
        assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert max(largest) <= 3000


# A bucket on the disk, slow enough that two processes meet; one gets SIGKILL as it reads the range of a number.
RUN = """
import itertools, os, signal, sys, time, fsspec
from fsspec.implementations.local import LocalFileSystem
from butterflyer_jax.storage import copying
from butterflyer_jax.storage.staging import Staging
class Deadly(LocalFileSystem):
    protocol = "deadly"
    reads = itertools.count(1)
    def cat_file(self, *arguments, **options):
        if next(self.reads) == int(sys.argv[5]):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.002)
        return super().cat_file(*arguments, **options)
fsspec.register_implementation("deadly", Deadly)
copying.RANGE_BYTES = 1000
names = [str(number) for number in range(20)]
staged = Staging("deadly://" + sys.argv[1], names, int(sys.argv[3]), sys.argv[2])
for _ in range(int(sys.argv[4])):
    staged.prefetch(names)
    for name in names:
        assert staged.open(name).readall() == open(sys.argv[1] + "/" + name, "rb").read()
print("done", staged.copied_bytes, flush=True)
"""


def start(source: Path, folder: Path, max_bytes: int, epochs: int = 1, killed_at: int = 0) -> subprocess.Popen[str]:
    arguments = [str(source), str(folder), str(max_bytes), str(epochs), str(killed_at)]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_bytes(random.Random(number).randbytes(20_000))
    return folder


def test_kill_9_leaves_nothing_that_reads_as_whole(tmp_path: Path, source: Path) -> None:
    folder, parts = tmp_path / "staged", 0
    # A file has 20 ranges.
    for killed_at in (10, 75, 110):
        process = start(source, folder, 10**6, killed_at=killed_at)
        assert process.wait(PATIENCE) == -signal.SIGKILL
        parts += len(list(folder.glob("*/*.part")))
        for path in folder.glob("*/*"):
            if path.suffix != ".part":
                assert path.read_bytes() == (source / path.stem).read_bytes()
    assert parts
    process = start(source, folder, 10**6)
    # It ends though nobody closes it: no thread of it holds it.
    output, _ = process.communicate(timeout=PATIENCE)
    copied = int(output.split()[-1])
    assert process.returncode == 0 and copied < 400_000
    assert names_in(folder) == sorted(map(str, range(20)))


def test_two_processes_share_a_folder_that_is_too_small(tmp_path: Path, source: Path) -> None:
    processes = [start(source, tmp_path / "staged", 130_000, epochs=2) for _ in range(2)]
    for process in processes:
        output, _ = process.communicate(timeout=PATIENCE * 2)
        assert process.returncode == 0, output
    assert num_bytes_in(tmp_path / "staged") <= 130_000


def test_a_copy_waits_for_the_room_of_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROOM_POLL_SECONDS", 0.01)
    files = put(*"ab")
    part, _ = BoundedFolder(tmp_path, 1500).reserve(tmp_path / "other" / "x.0", 1000, ())
    assert part
    with stage(tmp_path, files, max_bytes=1500) as staged:
        staged.prefetch("a")
        until(lambda: staged._no_room_until)
        assert names_in(tmp_path) == [part.path.name]
        part.discard()
        assert staged.open("a").readall() == files["a"]
