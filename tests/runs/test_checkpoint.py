from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from butterflyer_jax import UserError
from butterflyer_jax.config import CheckpointConfig
from butterflyer_jax.distributed.sharding import make_mesh, replicated
from butterflyer_jax.runs.checkpoint import Checkpointer


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
