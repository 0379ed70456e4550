"""What a command shows while it works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LINES_ELSEWHERE = 4


_quiet = False


def be_quiet() -> None:
    """Shows nothing any more: of many processes one speaks for all."""
    global _quiet
    _quiet = True


def _on_terminal() -> bool:
    return sys.stderr.isatty() and not _quiet


def say(line: str) -> None:
    """Prints one line of progress to stderr; stdout is for results."""
    if not _quiet:
        print(line, file=sys.stderr, flush=True)


def progress(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yields `items`, showing on stderr how many of `total` are done."""
    if _on_terminal():
        import rich.console
        import rich.progress

        columns = (
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True), transient=True) as bar:
            yield from bar.track(items, total=total, description=description)
        return
    every = max(1, -(-total // LINES_ELSEWHERE))
    for done, item in enumerate(items, start=1):
        yield item
        if done % every == 0 or done == total:
            say(f"{description}: {done} of {total}")


class TrainingDisplay:
    """The course of a run on stderr: a bar below the lines of the epochs on a terminal, the lines alone elsewhere."""

    def __init__(self, total_steps: int, start_step: int) -> None:
        self._bar = None
        if _on_terminal():
            import rich.console
            import rich.progress

            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("step"),
                rich.progress.MofNCompleteColumn(),
                rich.progress.BarColumn(),
                rich.progress.TextColumn("{task.description}"),
                rich.progress.TimeRemainingColumn(),
                console=rich.console.Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("compiling", total=total_steps, completed=start_step)

    def __enter__(self) -> TrainingDisplay:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, step: int, text: str) -> None:
        """Moves the bar to a step, with the newest numbers beside it."""
        if self._bar:
            self._bar.update(self._task, completed=step, description=text)

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            say(text)
