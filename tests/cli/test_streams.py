"""Streams whose reader has left: a closed terminal or pipe, a stream closed from the start, a full disk."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Works after its reader has left, and writes what it did into a file.
COMMAND = """
import sys
from butterflyer_jax import cli, console
def main(argv):
    sys.stdin.read()
    for number in range(3):
        print("result", flush=True)
        console.say("progress")
    open(argv[0], "w").write(str(cli.stdout_is_lost()))
    print("result, not flushed")
    sys.exit(143)
cli.run(main)
"""


def run(redirect: str, file: Path, **options: object) -> tuple[int, bytes]:
    line = ["bash", "-c", f'exec "$0" -c "$1" "$2" {redirect}', sys.executable, COMMAND, str(file)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, timeout=60, **options)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_closed_from_the_start_stops_nothing(redirect: str, tmp_path: Path) -> None:
    code, printed = run(redirect, tmp_path / "written")
    assert (code, (tmp_path / "written").read_text()) == (143, "False")
    assert b"Traceback" not in printed
    assert printed.count(b"progress") == (0 if "2>" in redirect else 3)
    assert printed.count(b"result") == (0 if ">&-" in redirect.split() else 4)


@pytest.mark.parametrize("lost", ["stdout", "stderr"])
def test_a_pipe_whose_reader_left_stops_nothing(lost: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "written")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    getattr(process, lost).close()
    setattr(process, lost, None)
    rest = b"".join(part or b"" for part in process.communicate(b"", timeout=60))
    assert process.returncode == 143
    assert (tmp_path / "written").read_text() == str(lost == "stdout")
    assert rest in (b"progress\n" * 3, b"result\n" * 3 + b"result, not flushed\n")


def test_a_terminal_that_is_closed_stops_nothing(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "written")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    os.close(terminal)
    process.communicate(b"", timeout=60)
    assert process.returncode == 143
    assert (tmp_path / "written").read_text() == "True"


def test_a_full_disk_is_an_error_of_stdout_alone(tmp_path: Path) -> None:
    code, printed = run("2>/dev/full", tmp_path / "written")
    assert (code, printed.count(b"result")) == (143, 4)
    code, printed = run(">/dev/full", tmp_path / "other")
    assert code == 2
    advice = b"while writing; run the same command again after fixing this: it resumes"
    assert printed == b"error: No space left on device: " + advice + b"\n"
