"""Engines that run the tasks of a build: threads of this machine, or a cluster under Apache Beam.

A task is a file with a description; a function runs it and leaves its result in files beside it, whole or not at all.
So an engine only hands out names, any task may run twice, and a killed build resumes where it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol

from butterflyer_jax.errors import UserError

Task = Callable[[str], Any]
# While a task waits for the network, another one computes.
REMOTE_THREADS_PER_CORE = 2


class Engine(Protocol):
    """Runs tasks somewhere."""

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """Yields the name of each task that is done, in any order; raises what a task raised."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this machine: decoding, scaling and encoding release the interpreter's lock."""

    threads_per_core: int = 1

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`."""
        pool = ThreadPoolExecutor(self.threads_per_core * (os.cpu_count() or 1), "build")
        try:
            pending = {pool.submit(function, task): task for task in tasks}
            for future in as_completed(pending):
                future.result()
                yield pending[future]
        finally:
            # On an error or an interrupt, tasks that have not started are dropped.
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class BeamEngine:
    """Apache Beam: DirectRunner, Dataflow, Flink or Spark, as the options say."""

    options: Any = None
    runner: Any = None

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`; a task's name is yielded once all are done."""
        import apache_beam as beam

        try:
            with beam.Pipeline(runner=self.runner, options=self.options) as pipeline:
                # Reshuffled, or a runner would fuse all of it into one worker's work.
                _ = pipeline | beam.Create(tasks) | beam.Reshuffle() | beam.Map(function)
        except Exception as error:
            # From another process only the words arrive.
            message = re.search(r"\bUserError: (.+)", str(error))
            if message is None:
                raise
            raise UserError(message[1]) from error
        yield from tasks
