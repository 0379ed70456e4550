from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import CheckpointConfig
from butterflyer_jax.distributed.sharding import make_mesh, replicated
from butterflyer_jax.runs.checkpoint import Checkpointer
from butterflyer_jax.runs.checksums import DAMAGED


def trees(value: float) -> dict:
    return {"variables": {"w": jnp.full((3,), value)}, "optimizer": {"m": jnp.full((2, 2), -value)}}


def abstract(tree: dict) -> dict:
    sharding = replicated(make_mesh(1))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def scores(top1: float, loss: float = 1.0) -> dict[str, float]:
    return {"top1": top1, "loss": loss}


def test_round_trip_in_another_process_of_the_same_run(tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path)
    writer.save(3, trees(1.5), {"epoch": 1}, scores(0.5))
    writer.close()
    reader = Checkpointer(tmp_path, read_only=True)
    assert reader.latest_step() == reader.best_step() == 3
    assert reader.restore_position(3) == {"epoch": 1}
    assert reader.metrics(3) == scores(0.5)
    for saved, restored in zip(
        jax.tree.leaves(trees(1.5)), jax.tree.leaves(reader.restore(3, abstract(trees(0.0)))), strict=True
    ):
        np.testing.assert_array_equal(saved, restored)
    variables = reader.restore(3, {"variables": abstract(trees(0.0))["variables"]})
    assert list(variables) == ["variables"]


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path, CheckpointConfig(keep_last=2))
    for step, top1 in enumerate([0.1, 0.9, 0.3, 0.4, 0.5], start=1):
        checkpointer.save(step, trees(step), {}, scores(top1))
    checkpointer.close()
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 4, 5]
    again = Checkpointer(tmp_path)
    assert (again.latest_step(), again.best_step()) == (5, 2)


def test_ties_go_to_the_lower_loss_and_saves_without_evaluation_do_not_count(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path, CheckpointConfig(keep_last=10))
    checkpointer.save(1, trees(1), {}, scores(0.5, loss=2.0))
    checkpointer.save(2, trees(2), {}, scores(0.5, loss=1.0))
    checkpointer.save(3, trees(3), {}, scores(0.5, loss=3.0))
    checkpointer.save(4, trees(4), {})
    assert (checkpointer.latest_step(), checkpointer.best_step()) == (4, 2)


def test_an_empty_folder_has_no_step(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path / "new")
    assert checkpointer.latest_step() is None
    assert checkpointer.best_step() is None


def test_another_network_is_refused(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path)
    checkpointer.save(1, trees(1), {})
    checkpointer.wait()
    other = {"variables": {"w": jax.ShapeDtypeStruct((4,), jnp.float32), "b": jax.ShapeDtypeStruct((4,), jnp.float32)}}
    with pytest.raises(UserError, match="damaged or of another network"):
        checkpointer.restore(1, other)


def test_a_save_that_was_killed_is_not_seen_and_is_cleared(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path)
    checkpointer.save(1, trees(1), {})
    checkpointer.close()
    half = tmp_path / "2.orbax-checkpoint-tmp"
    (half / "variables").mkdir(parents=True)
    again = Checkpointer(tmp_path)
    assert again.latest_step() == 1
    again.save(2, trees(2), {})
    again.close()
    assert Checkpointer(tmp_path, read_only=True).latest_step() == 2
    assert not half.exists()


def test_every_save_is_made_however_close(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path, CheckpointConfig(keep_last=100))
    for step in range(1, 9):
        checkpointer.save(step, trees(step), {})
    checkpointer.close()
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(1, 9))


def test_what_fails_at_the_end_is_an_error_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orbax describes each checkpoint from a thread that is waited for when all is closed."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    checkpointer = Checkpointer(tmp_path)
    checkpointer.save(1, trees(1), {})
    checkpointer.wait()
    monkeypatch.setattr(checkpointer._manager, "close", fail)
    with pytest.raises(UserError, match=r"cannot write a checkpoint to .*: No space left on device"):
        checkpointer.close()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def two_checkpoints(folder: Path) -> None:
    writer = Checkpointer(folder)
    writer.save(1, trees(1.0), {}, scores(0.1))
    writer.save(2, trees(2.0), {}, scores(0.2))
    writer.close()


@pytest.mark.parametrize("damage", [cut, empty, zero, flip_a_bit, Path.unlink], ids=lambda damage: damage.__name__)
def test_a_damaged_newest_checkpoint_is_moved_aside_and_the_one_before_serves(
    tmp_path: Path, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    damage(
        max(
            (path for path in (folder / "2" / "variables").rglob("*") if path.is_file()),
            key=lambda path: path.stat().st_size,
        )
    )
    reader = Checkpointer(folder, read_only=True)
    assert reader.latest_step() == reader.best_step() == 1
    assert "2 is damaged, and left out" in capfd.readouterr().err
    again = Checkpointer(folder)
    assert again.latest_step() == 1
    assert f"the checkpoint {folder / '2'} is damaged (" in capfd.readouterr().err
    assert (tmp_path / DAMAGED / "2" / "variables").is_dir(), "nothing is deleted"
    again.save(2, trees(2.0), {})
    again.close()
    assert Checkpointer(folder).latest_step() == 2


def test_an_empty_folder_or_half_a_copy_is_no_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    (folder / "3").mkdir()
    shutil.copytree(folder / "2", folder / "4")
    shutil.rmtree(folder / "4" / "variables")
    (folder / "4" / "checksums.json").unlink()
    assert Checkpointer(folder).latest_step() == 2
    assert sorted(path.name for path in (tmp_path / DAMAGED).iterdir()) == ["3", "4"]


def test_copies_under_names_that_are_no_step(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    for name in ("008", "٣", "²", "3 (copy)", "old"):
        shutil.copytree(folder / "2", folder / name)
    (folder / "9").write_bytes(b"a file")
    assert Checkpointer(folder, read_only=True).latest_step() == 2
    again = Checkpointer(folder)
    assert again.latest_step() == 2 and again.steps() == [1, 2]
    assert sorted(path.name for path in (tmp_path / DAMAGED).iterdir()) == ["008", "9", "٣"]


def test_where_no_checkpoint_is_whole_the_error_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    for step in "12":
        flip_a_bit(max((folder / step / "variables" / "d").iterdir()))
    with pytest.raises(UserError, match=r"no checkpoint of .* is whole.*copy a whole one to .* or run the same"):
        Checkpointer(folder)
    assert Checkpointer(folder).latest_step() is None


def test_a_checkpoint_of_an_older_version_has_no_checksums(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    (tmp_path / "2" / "checksums.json").unlink()
    assert Checkpointer(tmp_path).latest_step() == 2


def test_the_best_checkpoint_is_read_beside_a_training_that_replaces_it(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    reader = Checkpointer(tmp_path, read_only=True)
    restore = reader.restore

    def replaced_meanwhile(step: int, abstract_trees: dict) -> dict:
        if step == 2:
            writer = Checkpointer(tmp_path, CheckpointConfig(keep_last=1))
            writer.save(3, trees(3.0), {}, scores(0.3))
            writer.close()
        return restore(step, abstract_trees)

    reader.restore = replaced_meanwhile
    step, restored = reader.restore_best({"variables": abstract(trees(0.0)["variables"])})
    assert step == 3
    np.testing.assert_array_equal(restored["variables"]["w"], np.full(3, 3.0))


@pytest.mark.parametrize("name", ["run[1]", "a*", "what?", "back\\slash", "caf\udce9"])
def test_a_name_that_no_checkpoint_could_be_read_from_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="in its name, which checkpoints cannot be read from: take another --output"):
        Checkpointer(tmp_path / name)
