"""Checkpoints of a run; the only module that uses Orbax."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from butterflyer_jax.config import CheckpointConfig
from butterflyer_jax.console import say
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.runs import checksums
from butterflyer_jax.storage import paths
from butterflyer_jax.storage.errors import access, describe, words_of

# Orbax finds the files that processes wrote by a pattern with the folder's name in it.
_PATTERN_CHARACTERS = "[]*?"


def check_name(folder: str | os.PathLike[str]) -> None:
    """Raises a UserError where checkpoints in a folder of this name could be written, and not be read again."""
    name = os.fspath(folder)
    # TensorStore takes a backslash for a separator on every system, and names in UTF-8 alone.
    characters = _PATTERN_CHARACTERS if os.sep == "\\" else f"{_PATTERN_CHARACTERS}\\"
    bad = [character for character in characters if character in name]
    bad += [repr(character)[1:-1] for character in name if "\ud800" <= character <= "\udfff"]
    if bad:
        raise UserError(
            f"{name} has {' '.join(bad)} in its name, which checkpoints cannot be read from: take another --output"
        )


def _is_for_users(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or "orbax" not in record.pathname


# Orbax warns of its own defaults whenever a folder is opened; what it raises is translated here.
logging.getLogger("absl").addFilter(_is_for_users)


class Checkpointer:
    """Saves and restores pytrees of arrays and its position in the data; keeps the newest and the best.

    A checkpoint is whole or absent: it is written under a temporary name in the background, and renamed. On a disk its
    files have checksums. A newest checkpoint that is damaged all the same is moved aside when a run is opened for
    writing, and passed over when it is opened for reading. (A bucket keeps checksums by itself.)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        config: CheckpointConfig | None = None,
        read_only: bool = False,
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens a folder of checkpoints; makes it unless `read_only`.

        Raises:
          UserError: a bucket cannot be reached or written, or all checkpoints are damaged.
        """
        self._before_save = before_save
        self._local = None if paths.is_remote(folder) else Path(paths.path(folder))
        self._saving: int | None = None
        self._damaged: set[int] = set()
        self._verified: int | None = None
        if not read_only:
            check_name(folder)
            self._move_damaged_aside()
        config = config or CheckpointConfig()

        def rank_of(metrics: dict[str, float]) -> tuple[float, float]:
            return rank(metrics, config.metric)

        self._rank = rank_of
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(config.keep_last),
                checkpoint_managers.BestN(
                    get_metric_fn=rank_of, n=config.keep_best, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            create=not read_only,
            read_only=read_only,
            preservation_policy=policy,
            # The loop decides when to save; Orbax's default policies would skip some.
            save_decision_policy=checkpoint_managers.FixedIntervalPolicy(1),
            enable_should_save_is_saving_in_progress_check=False,
            # Leftovers of a killed save.
            cleanup_tmp_directories=not read_only,
            best_fn=rank_of,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._write_checksums),
        )
        with access(folder, "read" if read_only else "write"):
            self._manager = ocp.CheckpointManager(epath.Path(folder), options=options)

    def latest_step(self) -> int | None:
        """Returns the newest saved step that is whole, None where there is none."""
        return next((step for step in reversed(self.steps()) if self._is_whole(step)), None)

    def steps(self) -> list[int]:
        """Returns the saved steps."""
        return sorted(self._manager.all_steps())

    def _is_whole(self, step: int) -> bool:
        """Returns whether a checkpoint is what was written; reports one that is not, once."""
        if self._local is None or step in (self._saving, self._verified):
            return True
        if step in self._damaged:
            return False
        folder = self._local / str(step)
        damage = checksums.find_damage(folder, in_part=True)
        # Gone: a training beside this process has newer ones.
        if damage and folder.exists():
            self._damaged.add(step)
            say(f"the checkpoint {folder} is damaged, and left out: {damage}")
        return damage is None

    def _move_damaged_aside(self) -> None:
        """Moves checkpoints away that are damaged and newer than the newest whole one.

        Raises:
          UserError: none is whole.
        """
        if self._local is None:
            return
        aside = self._local.parent / checksums.DAMAGED
        none_is_whole = False
        if jax.process_index() == 0:
            folders = [path for path in self._local.glob("*") if path.name.isdecimal()]
            for folder in folders:
                if folder.name != str(int(folder.name)):
                    # Orbax takes 008 for step 8, and does not find a folder 8.
                    checksums.move_aside(folder, aside, f"its name is not {int(folder.name)}")
            steps = sorted((int(path.name) for path in folders if path.exists()), reverse=True)
            for step in steps:
                folder = self._local / str(step)
                damage = checksums.find_damage(folder)
                if damage is None:
                    self._verified = step
                    break
                checksums.move_aside(folder, aside, damage)
            else:
                none_is_whole = bool(steps)
        # No process may open what the main process is about to move.
        if bool(multihost_utils.broadcast_one_to_all(np.int32(none_is_whole))):
            raise UserError(
                f"no checkpoint of {self._local.parent} is whole, they are in {aside} now: copy a whole one to "
                f"{self._local}, or run the same command again to train from the beginning"
            )

    def _write_checksums(self) -> None:
        """Runs in Orbax's own thread, when all files of a checkpoint are written and it has not got its name yet."""
        if self._local is not None and jax.process_index() == 0:
            for unnamed in self._local.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
                checksums.write(unnamed)

    def best_step(self) -> int | None:
        """Returns the whole step with the best evaluation, the newest where none was evaluated."""
        self._manager.wait_until_finished()
        evaluated = {step: self.metrics(step) for step in self._manager.all_steps()}
        ranked = [(self._rank(metrics), step) for step, metrics in evaluated.items() if metrics]
        best = next((step for _, step in sorted(ranked, reverse=True) if self._is_whole(step)), None)
        return best if best is not None else self.latest_step()

    def restore_best(self, abstract_trees: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Restores the best checkpoint, also where a training beside this process removes old ones meanwhile.

        Args:
          abstract_trees: the same as in `restore`.

        Returns:
          The step and the trees; None where there is no checkpoint.

        Raises:
          UserError: the checkpoint does not fit them.
        """
        while (step := self.best_step()) is not None:
            try:
                return step, self.restore(step, abstract_trees)
            except UserError:
                if self._local is None or (self._local / str(step)).exists():
                    raise
            # The training has replaced it by a better one.
            self._manager.reload()
        return None

    def metrics(self, step: int) -> dict[str, float] | None:
        """Returns the evaluation saved with a step, or None."""
        try:
            return self._manager.metrics(step) or None
        except (ValueError, OSError):
            # Damaged, or removed by a training beside this process; `_is_whole` reports the first.
            return None

    def save(
        self, step: int, trees: dict[str, Any], position: dict[str, Any], metrics: dict[str, float] | None = None
    ) -> None:
        """Starts to save; returns when the arrays may be overwritten.

        Args:
          step: step that names the checkpoint.
          trees: pytrees of arrays by name; each can be restored without the others.
          position: position in the data, as JSON.
          metrics: metrics of the evaluation of this state; None if there was none.

        Raises:
          UserError: this save or the previous one could not be written.
        """
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        self._before_save()
        with self._writing():
            self._manager.wait_until_finished()
            self._saving = step
            if not self._manager.save(
                step, args=ocp.args.Composite(position=ocp.args.JsonSave(position), **items), metrics=metrics
            ):
                raise AssertionError(f"the checkpoint of step {step} was skipped")

    def restore(self, step: int, abstract_trees: dict[str, Any]) -> dict[str, Any]:
        """Returns the pytrees that `abstract_trees` names, with its shapes, dtypes and shardings.

        Raises:
          UserError: the checkpoint does not fit them.
        """
        items = {name: ocp.args.StandardRestore(tree) for name, tree in abstract_trees.items()}
        return dict(self._restore(step, items))

    def restore_position(self, step: int) -> dict[str, Any]:
        """Returns the saved position in the data."""
        return dict(self._restore(step, {"position": ocp.args.JsonRestore()})["position"])

    def _restore(self, step: int, items: dict[str, Any]) -> Any:
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except UserError:
            raise
        except (ValueError, KeyError, FileNotFoundError) as error:
            where = f"{self._manager.directory}/{step}"
            raise UserError(f"the checkpoint {where} is damaged or of another network: {error}") from error
        except (MemoryError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:
            # Of a damaged file Orbax raises errors of no class of their own.
            described = describe(error, os.fspath(self._manager.directory))
            where = f"{self._manager.directory}/{step}"
            raise described or UserError(f"the checkpoint {where} is damaged: {words_of(error)}") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        folder = self._manager.directory
        advice = "the one before is whole, and the same command resumes from it when there is room"
        with access(folder, "write", "a checkpoint", advice):
            yield

    def wait(self) -> None:
        """Waits until all saves are on disk.

        Raises:
          UserError: a save could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for saves, and frees the threads.

        Raises:
          UserError: a save could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()
            # Which waits for the thread that writes the description of each checkpoint.
            self._manager.close()
