"""Builds the wheel and tries it in fresh environments, outside the checkout: the core, then each extra.

.venv/bin/python scripts/check_wheel.py [core] [train] [app] …

Each environment is made of the versions in requirements.lock. Prints what each takes in seconds and MiB; exits with 1
where a command of the installed package fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
UV = Path(sys.executable).with_name("uv")
MIB = 1 << 20
CONFIGS = ("cpu", "cpu_sweep", "demo", "vgg16", "vgg16_finetune")
TRAIN_FAKE = (
    *("train", "--config", "demo", "--input", "fake", "--output", "run"),
    *("--config.num_epochs=1", "--config.data.image_size=32", "--config.export.format=none"),
)


class Environment:
    """A fresh environment with the wheel and some of its extras, and an empty folder to work in."""

    def __init__(self, folder: Path, wheel: Path, extras: str) -> None:
        self.folder = folder / "work"
        self.folder.mkdir(parents=True)
        self.site = folder / "venv"
        python = self.site / "bin" / "python"
        uv("venv", "--quiet", "--python", sys.executable, str(self.site))
        target = f"{wheel}[{extras}]" if extras else str(wheel)
        lock = ROOT / "requirements.lock"
        uv("pip", "install", "--quiet", "--python", str(python), "--constraint", str(lock), target)
        # The drawn photo lies in the checkout, its environment does not.
        self.environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        self.environment["BUTTERFLYER_CACHE"] = str(folder / "cache")

    def run(self, *line: str, code: int = 0) -> str:
        """Runs `butterflyer LINE`; returns stdout, or stderr where another exit code than 0 is expected."""
        result = subprocess.run(
            [self.site / "bin" / "butterflyer", *line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if result.returncode != code:
            sys.exit(f"butterflyer {' '.join(line)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stderr if code else result.stdout

    def mebibytes(self) -> int:
        """Returns the size of all files."""
        return sum(path.lstat().st_size for path in self.site.rglob("*") if path.is_file()) // MIB


def uv(*line: str) -> None:
    """Runs uv."""
    subprocess.run([UV, *line], check=True)


def expect(condition: bool, text: str) -> None:
    """Ends the program where the condition does not hold."""
    if not condition:
        sys.exit(f"not as expected: {text}")


def check_core(environment: Environment) -> None:
    """Trains on noise, names a photo, and names the extra of what is not there."""
    doctor = environment.run("doctor", code=0)
    expect("core         complete" in doctor and all(name in doctor for name in CONFIGS), doctor)
    environment.run(*TRAIN_FAKE)
    photo = environment.folder / "photo.png"
    environment.run("synthetic", "--output", "raw.zip", "--photos", "1", "--contact_sheet", str(photo))
    answer = json.loads(environment.run("predict", "--run", "run", "--format", "json", str(photo)))
    expect("species" in answer, str(answer))
    error = environment.run("build", "--input", "raw.zip", "--output", "records", code=2)
    expect(error.count("\n") == 1 and "pip install 'butterflyer-jax[train]" in error, error)


def check_train(environment: Environment) -> None:
    """Builds drawn photos."""
    environment.run("synthetic", "--output", "raw.zip", "--photos", "8")
    built = Path(environment.run("build", "--input", "raw.zip", "--output", "records").strip())
    card = json.loads((environment.folder / built / "data_card.json").read_text())
    expect(card["photos"] == 64, str(card))


def check_app(environment: Environment) -> None:
    """Starts the service, and asks after its health and for its page."""
    environment.run(*TRAIN_FAKE)
    line = [environment.site / "bin" / "butterflyer", "app", "--run", "run", "--port", "0"]
    process = subprocess.Popen(
        line, cwd=environment.folder, env=environment.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = next((line for line in process.stderr if line.startswith("ready: ")), "")
        expect(bool(said), "the application did not start")
        address = said.removeprefix("ready: ").strip()
        for path, word in (("/health", b"ok"), ("/", b"<html")):
            with urllib.request.urlopen(address + path, timeout=30) as answer:
                expect(word in answer.read(), path)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)


def check_export(environment: Environment) -> None:
    """Exports a run to ONNX, compared by onnxruntime."""
    environment.run(*TRAIN_FAKE)
    said = environment.run("export", "--run", "run", "--format", "onnx")
    expect("onnxruntime" in said, said)


def check_installed(name: str) -> Callable[[Environment], None]:
    """Returns a check that `doctor` finds the extra."""

    def check(environment: Environment) -> None:
        rows = [line for line in environment.run("doctor").splitlines() if line.startswith(f"  {name} ")]
        expect(len(rows) == 1 and rows[0].endswith("installed"), str(rows))

    return check


CHECKS: dict[str, Callable[[Environment], None]] = {
    "core": check_core,
    "train": check_train,
    "app": check_app,
    "export": check_export,
    "cloud": check_installed("cloud"),
    "wandb": check_installed("wandb"),
    "sweep": check_installed("sweep"),
}


def main() -> None:
    """Runs the command with its arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help=f"default: {' '.join(CHECKS)}")
    names = parser.parse_args().names or list(CHECKS)
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        folder = Path(temporary)
        uv("build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
        [wheel] = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / MIB:.1f} MiB")
        print(f"{'extra':<8}{'MiB':>6}{'install s':>11}{'check s':>9}")
        for name in names:
            start = time.perf_counter()
            environment = Environment(folder / name, wheel, "" if name == "core" else name)
            installed = time.perf_counter()
            CHECKS[name](environment)
            checked = time.perf_counter()
            size = environment.mebibytes()
            print(f"{name:<8}{size:>6}{installed - start:>11.1f}{checked - installed:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
