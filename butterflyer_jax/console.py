"""What a command shows while it works: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

STDERR = 2

T = TypeVar("T")

LINES_ELSEWHERE = 4
# Columns of a terminal that a bar takes at least, with the space around it.
MIN_BAR = 12
# Steps may be faster than an eye, seconds.
REDRAW_SECONDS = 0.1


class _ToStderr(logging.Handler):
    """Writes messages as plain lines to whatever `sys.stderr` is; a terminal that is gone stops nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(record.getMessage(), file=sys.stderr, flush=True)


# `logging.getLogger("butterflyer_jax").setLevel(logging.WARNING)` silences lines and bars, in a notebook for instance.
_logger = logging.getLogger("butterflyer_jax")
_logger.setLevel(logging.INFO)
_logger.propagate = False
_logger.addHandler(_ToStderr())


def be_quiet() -> None:
    """Shows nothing any more: of many processes the main one reports for all."""
    _logger.disabled = True


def _on_terminal() -> bool:
    return sys.stderr.isatty() and _logger.isEnabledFor(logging.INFO)


def say(line: str) -> None:
    """Logs one line of progress, which goes to stderr; stdout is for results."""
    # As of the caller, for handlers that show the place in the code.
    _logger.info("%s", line, stacklevel=2)


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


@contextlib.contextmanager
def status(text: str) -> Iterator[None]:
    """Shows on a terminal what takes some seconds, until it is done."""
    if not _on_terminal():
        yield
        return
    import rich.console

    with rich.console.Console(stderr=True).status(text):
        yield


class TrainingDisplay:
    """The course of a run on stderr: a bar below the lines of the epochs on a terminal, the lines alone elsewhere."""

    def __init__(self, total_steps: int, start_step: int, num_epochs: int) -> None:
        self._total_steps, self._num_epochs = total_steps, num_epochs
        self._began: tuple[int, float] | None = None
        self._drawn = 0.0
        self._numbers: list[str] = []
        self._bar = None
        if _on_terminal():
            import rich.console
            import rich.progress

            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.fields[place]}", markup=False),
                rich.progress.BarColumn(bar_width=None),
                rich.progress.TextColumn("{task.fields[numbers]}", markup=False),
                console=rich.console.Console(stderr=True),
                # Drawn when there is something new, not ten times a second.
                auto_refresh=False,
                expand=True,
                transient=True,
            )
            self._task = self._bar.add_task(
                "", total=total_steps, completed=start_step, place=self._place(start_step), numbers="compiling"
            )

    def __enter__(self) -> TrainingDisplay:
        if self._bar:
            self._bar.start()
            self._bar.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            with contextlib.suppress(OSError):
                self._bar.stop()

    def step(self, record: Mapping[str, Any]) -> None:
        """Moves the bar to a logged step, with its numbers beside it."""
        if not self._bar:
            return
        step, now = record["step"], time.monotonic()
        self._numbers = [
            f"loss {record['loss']:.3f}",
            f"top1 {record['top1']:.1%}",
            f"{record['images_per_second']:,.0f} images/s",
            f"data wait {record['data_wait']:.0%}",
        ]
        if self._began is None:
            # Compilation, before this first line, says nothing about the duration of later steps.
            self._began = step, now
        elif step < self._total_steps:
            steps, seconds = step - self._began[0], now - self._began[1]
            left = seconds / steps * (self._total_steps - step)
            self._numbers.append(f"ETA {timedelta(seconds=round(left))}")
        if now - self._drawn < REDRAW_SECONDS and step < self._total_steps:
            return
        self._drawn = now
        place = self._place(step)
        self._draw(completed=step, place=place, numbers=self._fitting(place, self._numbers))

    def note(self, text: str) -> None:
        """Shows what the run is at that is no step, until the next one."""
        if self._bar:
            self._draw(numbers="  ".join([*self._numbers[:1], text]))

    def line(self, text: str, cut: bool = False) -> None:
        """Prints a line that stays; with `cut`, a terminal that is too narrow for it shows its beginning alone."""
        if self._bar:
            overflow: Literal["ellipsis", "fold"] = "ellipsis" if cut else "fold"
            with contextlib.suppress(OSError):
                self._bar.console.print(text, highlight=False, markup=False, no_wrap=cut, overflow=overflow)
        else:
            say(text)

    def _place(self, step: int) -> str:
        epoch = min(self._num_epochs, step * self._num_epochs // self._total_steps + 1)
        return f"epoch {epoch}/{self._num_epochs}  step {step}/{self._total_steps}"

    def _fitting(self, place: str, numbers: Sequence[str]) -> str:
        """Returns as many of the numbers as leave room for a bar, the first and the last before the others."""
        room = self._bar.console.width - len(place) - MIN_BAR if self._bar else 0
        shown = list(numbers)
        while len(shown) > 2 and len("  ".join(shown)) > room:
            del shown[-2]
        return "  ".join(shown)

    def _draw(self, **fields: Any) -> None:
        if self._bar:
            try:
                self._bar.update(self._task, refresh=True, **fields)
            except OSError:
                # The terminal is gone; training is not.
                self._bar = None


_stderr_lock = threading.RLock()


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Discards what is written to stderr in the block, by native code too.

    TensorFlow greets with two lines about oneDNN whatever its log level. Switching oneDNN off would silence them, but
    its memory allocator goes with it, and JPEGs are then decoded at two thirds of the speed.
    """
    # One thread at a time: another would keep the discarded stderr, and put that back at its end.
    with _stderr_lock:
        sys.stderr.flush()
        kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, STDERR)
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            os.close(nowhere)


@dataclass(frozen=True)
class RunSummary:
    """What a run starts with.

    Attributes:
      photos: train, val and test photos.
      num_species: species.
      dataset: where the photos are.
      run: its folder.
      variant: variant of the network.
      num_parameters: number of parameters of the network.
      precision: dtype of the computation.
      devices: how many, of which kind.
      start_step: steps done before.
      total_steps: steps in all.
    """

    photos: tuple[int, int, int]
    num_species: int
    dataset: str
    run: str
    variant: str
    num_parameters: int
    precision: str
    devices: str
    start_step: int
    total_steps: int

    def show(self, more: Sequence[tuple[str, str]] = ()) -> None:
        """Shows it, with `more` rows (label, value), such as the memory of a device."""
        train, val, test = self.photos
        photos = f"{train} train, {val} val, {test} test photos of {self.num_species} species"
        steps, plan = f"{self.total_steps}", f"{self.total_steps} steps"
        if self.start_step:
            steps = plan = f"resuming from step {self.start_step} of {self.total_steps}"
        rows = [
            ("data", photos),
            ("", self.dataset),
            ("model", f"{self.variant}, {self.num_parameters:,} parameters"),
            ("devices", self.devices),
            ("precision", self.precision),
            *more,
            ("steps", steps),
            ("run", self.run),
        ]
        if sys.stderr.isatty():
            _show_panel(rows)
            return
        say(f"data: {photos} in {self.dataset}")
        network = f"{self.variant} with {self.num_parameters:,} parameters in {self.precision} on {self.devices}"
        say(f"run: {self.run}, {network}, {plan}")
        for label, value in more:
            say(f"{label}: {value}")


def _show_panel(rows: Sequence[tuple[str, str]]) -> None:
    """Draws (label, value) rows in a box on the terminal."""
    import rich.box
    import rich.console
    import rich.panel
    import rich.table
    import rich.text

    table = rich.table.Table.grid(padding=(0, 2))
    for label, value in rows:
        # As text: a path may hold what rich takes for markup.
        table.add_row(rich.text.Text(label, "dim"), rich.text.Text(value, overflow="fold"))
    panel = rich.panel.Panel(table, box=rich.box.ROUNDED, border_style="dim", expand=False)
    rich.console.Console(stderr=True).print(panel)
