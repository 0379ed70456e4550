"""Engines that run the tasks of a build: threads of this machine, or a cluster under Apache Beam.

A task is a file with a description; a function runs it and leaves its result in files beside it, whole or not at all.
So an engine only hands out names, any task may run twice, and a killed build resumes where it was.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from butterflyer_jax.errors import UserError

Task = Callable[[str], Any]
# While a task waits for the network, another one computes.
REMOTE_THREADS_PER_CORE = 2
# Tasks handed to each thread before the results of earlier ones are looked at.
TASKS_AHEAD = 2


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
        threads = self.threads_per_core * (os.cpu_count() or 1)
        pool = ThreadPoolExecutor(threads, "build")
        try:
            pending: dict[Future[Any], str] = {}
            left = iter(tasks)
            # A few ahead keep the threads busy; all at once could be done before a caller sees that the first failed.
            while True:
                for task in itertools.islice(left, TASKS_AHEAD * threads - len(pending)):
                    pending[pool.submit(function, task)] = task
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    task = pending.pop(future)
                    future.result()
                    yield task
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
