"""The display of a run on terminals of several widths, and where there is none."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from butterflyer_jax import console
from tests.conftest import ROOT
from tests.helpers.terminal import Seen, on_terminal

# By a clock of its own, or the number of redraws would be that of a busy machine.
COURSE = """
import time, types
from butterflyer_jax import console
from butterflyer_jax.console import RunSummary

now = 0.0
console.time = types.SimpleNamespace(monotonic=lambda: now)

records, devices = "/data/[bold]/records", "1 cpu"
start = RunSummary((448, 96, 96), 8, records, "/runs/first", "vgg11", 578840, "float32", devices, START, 210)
start.show([("memory", "1.5 GiB a device")])
with console.TrainingDisplay(210, START, 15) as display:
    for step in range(START + 1, 211):
        numbers = {"loss": 0.547, "top1": 0.991, "images_per_second": 1217.3, "data_wait": 0.012}
        display.step({"step": step, "split": "train", **numbers})
        now += 0.0024
        if step % 14 == 0:
            display.note("evaluating")
            display.line(f"epoch {step // 14}/15  loss 0.547  top1 99.1%  val loss 0.077  memory 933 MiB", cut=True)
            print("from elsewhere")
    time.sleep(0.11)
"""


def course(columns: int, start: int = 0) -> Seen:
    seen = on_terminal("-c", COURSE.replace("START", str(start)), columns=columns, cwd=ROOT)
    assert seen.returncode == 0, seen.text
    return seen


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_bar_fits_its_terminal_and_is_drawn_calmly(columns: int) -> None:
    seen = course(columns)
    bars = [line for line in seen.lines if "step " in line and "epoch" in line]
    assert all(len(bar) <= columns and "━" in bar for bar in bars)
    # In half a second, at most ten times a second; and for each evaluation, and below each line.
    assert len(bars) < 80
    running = [bar for bar in bars if "loss" in bar and "evaluating" not in bar]
    assert all("ETA 0:00:0" in bar for bar in running[3:-4])
    assert any("images/s  data wait 1%  ETA" in bar for bar in running) == (columns == 120)
    # One line an epoch stays, cut rather than broken.
    epochs = [line for line in seen.lines if line.startswith("epoch") and "val loss" in line]
    assert [int(line.split("/")[0].removeprefix("epoch ")) for line in epochs] == list(range(1, 16))
    assert all(len(line) <= columns for line in epochs)
    # What others print does not break it.
    assert sum(line.strip() == "from elsewhere" for line in seen.lines) == 15
    assert "━" not in seen.lines[-1]


def test_a_panel_shows_what_the_run_starts_with() -> None:
    text = course(120, start=200).text
    for row in (
        "data       448 train, 96 val, 96 test photos of 8 species",
        "           /data/[bold]/records",
        "model      vgg11, 578,840 parameters",
        "devices    1 cpu",
        "precision  float32",
        "memory     1.5 GiB a device",
        "steps      resuming from step 200 of 210",
        "run        /runs/first",
    ):
        assert f"│ {row} " in text


def test_elsewhere_there_are_plain_lines() -> None:
    code = COURSE.replace("START", "0")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    lines = result.stderr.splitlines()
    assert lines[:3] == [
        "data: 448 train, 96 val, 96 test photos of 8 species in /data/[bold]/records",
        "run: /runs/first, vgg11 with 578,840 parameters in float32 on 1 cpu, 210 steps",
        "memory: 1.5 GiB a device",
    ]
    assert len(lines) == 3 + 15
    assert lines[3] == "epoch 1/15  loss 0.547  top1 99.1%  val loss 0.077  memory 933 MiB"
    assert "\x1b" not in result.stderr


def test_what_takes_seconds_is_shown_on_a_terminal_while_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    code = """
from butterflyer_jax import console
with console.status("compiling the step"):
    console.say("from within")
console.say("done")
"""
    seen = on_terminal("-c", code, columns=80, cwd=ROOT)
    assert seen.returncode == 0 and "compiling the step" in seen.text
    assert "from within" in seen.lines
    assert seen.text.endswith("\rdone\n")
    with console.status("compiling the step"):
        pass
    assert capsys.readouterr() == ("", "")


def test_threads_that_discard_stderr_give_it_back() -> None:
    code = """
import sys, threading
from butterflyer_jax import console
begun, go_on = threading.Event(), threading.Event()
def first():
    with console.without_stderr():
        begun.set()
        go_on.wait(10)
def second():
    begun.wait(10)
    with console.without_stderr():
        pass
threads = [threading.Thread(target=work) for work in (first, second)]
for thread in threads: thread.start()
begun.wait(10)
go_on.set()
for thread in threads: thread.join()
print("seen", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stderr == "seen\n"


def test_lines_are_records_of_their_caller_and_can_be_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    logger, records = logging.getLogger("butterflyer_jax"), []
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    try:
        console.say("100% of it")
        logger.setLevel(logging.WARNING)
        console.say("more")
        assert list(console.progress([1, 2], 2, "work")) == [1, 2]
    finally:
        logger.setLevel(logging.INFO)
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records] == ["100% of it"]
    assert records[0].pathname == __file__
    assert capsys.readouterr().err == "100% of it\n"
