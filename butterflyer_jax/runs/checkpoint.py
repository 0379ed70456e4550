"""Checkpoints of a run; the only file that knows Orbax."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers

from butterflyer_jax.config import CheckpointConfig
from butterflyer_jax.errors import UserError
from butterflyer_jax.metrics.classification import rank
from butterflyer_jax.storage.errors import access


def _is_for_users(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or "orbax" not in record.pathname


# Orbax warns of its own defaults whenever a folder is opened; what it raises is translated here.
logging.getLogger("absl").addFilter(_is_for_users)


class Checkpointer:
    """Saves and restores pytrees of arrays and its position in the data; keeps the newest and the best.

    A checkpoint is whole or absent: it is written under a temporary name in the background, and renamed.
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
          UserError: a bucket cannot be reached or written.
        """
        self._before_save = before_save
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
        )
        with access(folder, "read" if read_only else "write"):
            self._manager = ocp.CheckpointManager(epath.Path(folder), options=options)

    def latest_step(self) -> int | None:
        """Returns the newest saved step, None where there is none."""
        result: int | None = self._manager.latest_step()
        return result

    def steps(self) -> list[int]:
        """Returns the saved steps."""
        return sorted(self._manager.all_steps())

    def best_step(self) -> int | None:
        """Returns the saved step with the best evaluation, the newest where none was evaluated."""
        self._manager.wait_until_finished()
        evaluated = {step: self.metrics(step) for step in self._manager.all_steps()}
        ranked = [(self._rank(metrics), step) for step, metrics in evaluated.items() if metrics]
        return max(ranked)[1] if ranked else self.latest_step()

    def metrics(self, step: int) -> dict[str, float] | None:
        """Returns the evaluation saved with a step, None where there was none."""
        return self._manager.metrics(step) or None

    def save(
        self, step: int, trees: dict[str, Any], position: dict[str, Any], metrics: dict[str, float] | None = None
    ) -> None:
        """Starts to save; returns when the arrays may be overwritten.

        Args:
          step: names the checkpoint.
          trees: pytrees of arrays by name; each can be restored without the others.
          position: in the data, as JSON.
          metrics: numbers of the evaluation of this state, None where there was none.

        Raises:
          UserError: this save, or the one before, could not be written.
        """
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        self._before_save()
        with self._writing():
            if not self._manager.save(
                step, args=ocp.args.Composite(position=ocp.args.JsonSave(position), **items), metrics=metrics
            ):
                raise AssertionError(f"the checkpoint of step {step} was skipped")

    def restore(self, step: int, abstract_trees: dict[str, Any]) -> dict[str, Any]:
        """Returns the pytrees that `abstract_trees` names, laid out as its shapes, dtypes and shardings say.

        Raises:
          UserError: the checkpoint does not fit them.
        """
        items = {name: ocp.args.StandardRestore(tree) for name, tree in abstract_trees.items()}
        return dict(self._restore(step, items))

    def restore_position(self, step: int) -> dict[str, Any]:
        """Returns the position in the data that was saved."""
        result: dict[str, Any] = self._restore(step, {"position": ocp.args.JsonRestore()})["position"]
        return result

    def _restore(self, step: int, items: dict[str, Any]) -> Any:
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except UserError:
            raise
        except (ValueError, KeyError, FileNotFoundError) as error:
            where = f"{self._manager.directory}/{step}"
            raise UserError(f"the checkpoint {where} is damaged or of another network: {error}") from error
        except Exception:
            with access(self._manager.directory):
                raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        folder = self._manager.directory
        advice = "the one before is whole, and the same command resumes from it when there is room"
        with access(folder, "write", "a checkpoint", advice):
            yield

    def wait(self) -> None:
        """Returns when all that was saved is on disk.

        Raises:
          UserError: it could not be written.
        """
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and gives threads back."""
        self.wait()
        self._manager.close()
