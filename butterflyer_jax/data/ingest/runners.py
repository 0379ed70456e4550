"""Engines that run the tasks of a build: local threads, or a cluster under Apache Beam.

A task is a file with a description; a function runs it and writes its result beside it, atomically.
So an engine only distributes names, any task may run twice, and a killed build resumes where it stopped.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from butterflyer_jax import cores
from butterflyer_jax.errors import UserError

Task = Callable[[str], Any]
# More threads than cores: while one task waits for the network, another computes.
REMOTE_THREADS_PER_CORE = 2
# Tasks queued per thread before the results of earlier ones are examined.
TASKS_AHEAD = 2


class Engine(Protocol):
    """An engine that runs tasks."""

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """Yields the name of each finished task, in any order; raises the exception of a failed task."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Local threads: decoding, scaling and encoding release the interpreter's lock."""

    threads_per_core: int = 1

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`."""
        threads = self.threads_per_core * cores.usable()
        pool = ThreadPoolExecutor(threads, "build")
        try:
            pending: dict[Future[Any], str] = {}
            left = iter(tasks)
            # A few queued tasks keep the threads busy; with all queued, many would run before the caller sees a first
            # failure.
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
    """Apache Beam with DirectRunner, Dataflow, Flink or Spark, chosen by its options."""

    options: Any = None
    runner: Any = None

    def run(self, function: Task, tasks: Sequence[str]) -> Iterator[str]:
        """See `Engine`; the names are yielded once all tasks are finished."""
        import apache_beam as beam

        try:
            with beam.Pipeline(runner=self.runner, options=self.options) as pipeline:
                # Reshuffled: otherwise a runner fuses all tasks into one worker.
                _ = pipeline | beam.Create(tasks) | beam.Reshuffle() | beam.Map(function)
        except Exception as error:
            # Exceptions of another process arrive as text only.
            message = re.search(r"\bUserError: (.+)", str(error))
            if message is None:
                raise
            raise UserError(message[1]) from error
        yield from tasks
