"""Builds that are broken off, that meet each other, that run under Beam: the records are the same."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from butterflyer_jax import UserError, cores
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build, dataset, photo
from butterflyer_jax.data.ingest import photo_tasks, shard_writer, workspace
from butterflyer_jax.storage import paths
from tests.conftest import ROOT, folder_members, make_zip

SMALL = BuildConfig(image_size=32, num_shards=2)


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files of a data set; those that TFDS itself writes hold the name of the config only."""
    return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, raw_zip: Path) -> dict[str, bytes]:
    return contents(build.build(raw_zip, tmp_path_factory.mktemp("undisturbed"), SMALL))


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches kill -9."""


@pytest.mark.parametrize("when", ["photographs", "shards", "publishing"])
def test_a_build_that_was_broken_off_resumes(
    when: str, tmp_path: Path, raw_zip: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, allowed = {
        "photographs": (photo_tasks.photo, "load", 40),
        "shards": (shard_writer, "run_task", 3),
        "publishing": (workspace.files_lib, "move", 2),
    }[when]
    original, calls = getattr(module, name), []
    # With many cores, no task would be done when the build dies.
    monkeypatch.setattr(cores, "usable", lambda: 2)

    def dies(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > allowed:
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, dies)
        with pytest.raises(Killed):
            build.build(raw_zip, tmp_path / "out", SMALL)
    with pytest.raises(UserError, match="no data set"):
        dataset.find_dataset(tmp_path / "out")

    loads: list[object] = []
    load = photo_tasks.photo.load
    monkeypatch.setattr(photo_tasks.photo, "load", lambda *args: loads.append(args) or load(*args))
    folder = build.build(raw_zip, tmp_path / "out", SMALL)
    assert contents(folder) == undisturbed
    assert dataset.find_dataset(tmp_path / "out") == folder
    assert len(loads) < 60 if when == "photographs" else not loads, "what was done is not done again"
    assert not list(Path(tmp_path).glob("out/**/incomplete*"))


def test_kill_9_and_start_again(tmp_path: Path, undisturbed: dict[str, bytes], raw_zip: Path) -> None:
    code = f"""
from butterflyer_jax import cores
from butterflyer_jax.config import BuildConfig
from butterflyer_jax.data import build, photo
from butterflyer_jax.data.ingest import photo_tasks
import os
# With many cores, no task would be done when the build dies.
cores.usable = lambda: 2
load, count = photo_tasks.photo.load, iter(range(1000))
def die(*arguments):
    if next(count) == 45:
        os.kill(os.getpid(), 9)
    return load(*arguments)
photo_tasks.photo.load = die
build.build({os.fspath(raw_zip)!r}, {os.fspath(tmp_path / "out")!r}, BuildConfig(image_size=32, num_shards=2))
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.glob("out/butterflies/*/incomplete.1.0.0/photographs/*.index.json"))
    assert contents(build.build(raw_zip, tmp_path / "out", SMALL)) == undisturbed


def test_other_splits_take_the_photos_that_are_ready(
    tmp_path: Path, raw_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a photo does not depend on is no reason to decode it again."""
    from butterflyer_jax.data.ingest import raw_zip as raw_zip_lib
    from butterflyer_jax.data.ingest import runners

    folder = paths.path(tmp_path / "work")
    with raw_zip_lib.open_zip(raw_zip) as raw:
        listing = raw_zip_lib.read_listing(raw)
    workspace.prepare_photos(folder, raw_zip, listing, SMALL, runners.LocalEngine())
    with monkeypatch.context() as patch:
        patch.setattr(photo_tasks.photo, "load", None)
        other = BuildConfig(image_size=32, salt="pepper", val_fraction=0.3)
        assert (
            len(workspace.prepare_photos(folder, raw_zip, listing, other, runners.LocalEngine()).of_split("val")) == 18
        )
    # Another size is, and so is a result that lost its end.
    assert workspace.prepare_photos(folder, raw_zip, listing, BuildConfig(image_size=40), runners.LocalEngine()).photos
    jpegs = next(Path(folder / "photographs").glob("*.jpegs"))
    jpegs.write_bytes(jpegs.read_bytes()[:-1])
    photos = workspace.prepare_photos(
        folder, raw_zip, listing, BuildConfig(image_size=40), runners.LocalEngine()
    ).photos
    assert all(photo.read().endswith(b"\xff\xd9") for photo in photos)


@pytest.mark.parametrize("num_threads", [1, 7])
def test_the_number_of_threads_changes_nothing(
    num_threads: int, tmp_path: Path, raw_zip: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "usable", lambda: num_threads)
    assert contents(build.build(raw_zip, tmp_path / "out", SMALL)) == undisturbed


def test_beam_makes_the_same_data_set(tmp_path: Path, raw_zip: Path, undisturbed: dict[str, bytes]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(
        ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    )
    assert contents(build.build(raw_zip, tmp_path / "out", SMALL, beam_options=options)) == undisturbed


def hold_lock(folder: str, ready: object, release: object) -> None:
    with workspace.unfinished(paths.path(folder), distributed=False):
        ready.set()
        release.wait(60)


def test_a_second_build_into_the_same_folder_is_reported(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    dataset_dir = tmp_path / "butterflies" / "default" / "1.0.0"
    first = context.Process(target=hold_lock, args=(str(dataset_dir), ready, release))
    first.start()
    try:
        assert ready.wait(60)
        with pytest.raises(UserError, match=r"another build is writing to .*1\.0\.0"):  # noqa: SIM117
            with workspace.unfinished(paths.path(dataset_dir), distributed=False):
                pass
        # A build that dies lets go, however it does.
        first.kill()
        first.join(60)
        with workspace.unfinished(paths.path(dataset_dir), distributed=False) as folder:
            assert folder.name == "incomplete.1.0.0"
    finally:
        first.kill()


def test_a_build_that_can_only_fail_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_zip(tmp_path / "raw.zip", {f"{'AB'[n % 2]}/{n}.jpg": b"no picture" for n in range(2000)})
    load, calls = photo_tasks.photo.load, []
    monkeypatch.setattr(photo_tasks.photo, "load", lambda *args: calls.append(1) or load(*args))
    with pytest.raises(UserError, match="of 2000 photos cannot be used"):
        build.build(raw, tmp_path / "out", SMALL)
    assert len(calls) < 1800


def test_memory_for_large_photos_is_taken_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_tasks, "LARGE_PIXELS", 64 * 56 - 1)
    monkeypatch.setattr(cores, "usable", lambda: 4)
    decode, at_work, most = photo.jpeg.decode_scaled, [], []

    def watch(*arguments: object) -> object:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.001)
        at_work.pop()
        return decode(*arguments)

    monkeypatch.setattr(photo.jpeg, "decode_scaled", watch)
    build.build(make_zip(tmp_path / "raw.zip", folder_members(30)), tmp_path / "out", SMALL)
    assert max(most) == 1


def test_near_duplicates_share_a_split_and_leaks_are_on_the_card(tmp_path: Path) -> None:
    import io

    from PIL import Image

    from tests.conftest import encode

    members = folder_members(20)
    again = {
        f"{name[:-4]} smaller.jpg": encode(Image.open(io.BytesIO(data)).resize((48, 42)), quality=70)
        for name, data in members.items()
    }
    folder = Path(build.build(make_zip(tmp_path / "raw.zip", members | again), tmp_path / "out", SMALL))
    card = json.loads((folder / "data_card.json").read_text())
    assert card["near_duplicates"] == {
        "method": "dhash of 256 bits and colours of 4x4 parts, at most 12 differ",
        "groups": 60,
        "photos": 120,
        "across_splits": 0,
        "across_species": 0,
    }
    # The zip puts each original into train and each copy into test: honoured, and reported.
    given = {f"train/{name}": data for name, data in members.items()}
    given |= {f"test/{name}": data for name, data in again.items()}
    folder = Path(build.build(make_zip(tmp_path / "given.zip", given), tmp_path / "out", SMALL))
    card = json.loads((folder / "data_card.json").read_text())
    assert card["near_duplicates"]["across_splits"] == 60
    assert card["splits"]["test"] == 60
    rows = (folder / "duplicates.csv").read_text().splitlines()
    assert rows[0] == "group,photo_id,label,split"
    assert rows[1:3] == [
        "1,test/Blue Stripe/000 smaller.jpg,Blue Stripe,test",
        "1,train/Blue Stripe/000.jpg,Blue Stripe,train",
    ]
    assert "60 leaks between splits" in (folder / "data_card.html").read_text()


def test_a_zip_that_was_packed_anew_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is the same, but every photo lies elsewhere than the tasks of the killed build say."""
    members = folder_members(40)
    raw = make_zip(tmp_path / "raw.zip", members)
    load, calls = photo_tasks.photo.load, []

    def dies(*arguments: object) -> object:
        calls.append(1)
        if len(calls) > 100:
            raise Killed
        return load(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(photo_tasks.photo, "load", dies)
        with pytest.raises(Killed):
            build.build(raw, tmp_path / "out", SMALL)
    make_zip(raw, {name: members[name] for name in reversed(members)})
    card = json.loads((build.build(raw, tmp_path / "out", SMALL) / "data_card.json").read_text())
    assert (card["photos"], card["rejects"]) == (120, 0)


@pytest.mark.parametrize(
    "lost", ["dataset_info.json", "butterflies-train.tfrecord-00001-of-00002", "data_card.json", "*"]
)
def test_a_data_set_that_lost_a_file_is_built_again(
    lost: str, tmp_path: Path, raw_zip: Path, undisturbed: dict[str, bytes]
) -> None:
    folder = Path(build.build(raw_zip, tmp_path / "out", SMALL))
    for file in folder.glob(lost):
        file.unlink()
    # TFDS adds an empty metadata.json where it finds an older data set.
    assert contents(build.build(raw_zip, tmp_path / "out", SMALL)).items() >= undisturbed.items()


def test_what_a_kill_leaves_of_a_clean_up_is_no_unfinished_build(
    tmp_path: Path, raw_zip: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build.build(raw_zip, tmp_path / "out", SMALL)
    left = Path(folder).parent / "incomplete.1.0.0" / "photographs"
    left.mkdir(parents=True)
    (left / "00000.task.json").write_text("half")
    Path(folder).rename(tmp_path / "aside")
    assert contents(build.build(raw_zip, tmp_path / "out", SMALL)) == undisturbed


def test_a_worker_of_beam_says_in_one_line_what_the_user_can_mend(tmp_path: Path) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    from butterflyer_jax.data.ingest import runners

    options = PipelineOptions(
        ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    )
    with pytest.raises(UserError, match=r"^no space on 1$"):
        list(runners.BeamEngine(options).run(fails, ["1"]))


def fails(task: str) -> None:
    raise UserError(f"no space on {task}")
