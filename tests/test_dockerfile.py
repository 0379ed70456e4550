"""The Dockerfile, without an engine: its lint, its defaults, its locks. The workflow builds and runs the images."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from butterflyer_jax import UserError, load_config, train
from tests.conftest import ROOT

TEXT = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = beside if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("there is no hadolint for this platform")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_packages_come_by_their_hashes_and_no_secret_is_in_an_image() -> None:
    steps = [step for step in re.split(r"(?<!\\)\n(?=[A-Z]+ )", TEXT) if "pip install" in step]
    assert steps
    assert all(step.count("pip install") == step.count("--require-hashes") for step in steps)
    assert not re.search(r"(KEY|TOKEN|PASSWORD)=", TEXT)


def test_the_default_arguments_are_ones_that_training_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = TEXT.split("FROM base AS train")[1].split("\nFROM ")[0]
    entrypoint, command = (json.loads(re.search(rf"^{name} (.*)$", stage, flags=re.MULTILINE)[1])  # type: ignore[index]
                           for name in ("ENTRYPOINT", "CMD"))  # fmt: skip
    assert entrypoint == ["python", "-m", "butterflyer_jax.train"]
    monkeypatch.chdir(ROOT)
    assert load_config(command[command.index("--config") + 1])
    command[command.index("--gpu") + 1] = "1000"
    with pytest.raises(UserError, match="JAX sees no GPU or TPU here"):
        train.main(command)


def test_the_locks_agree() -> None:
    """The one of CUDA holds what the other does not."""
    packages = [
        set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), flags=re.MULTILINE))
        for name in ("requirements.lock", "scripts/cuda.lock")
    ]
    assert not packages[0] & packages[1]
    assert "jax-cuda12-plugin" in packages[1]
    # Of each Python.
    versions = [
        re.findall(rf"^{name}==(.+) \\$", (ROOT / file).read_text(), flags=re.MULTILINE)
        for name, file in (("jaxlib", "requirements.lock"), ("jax-cuda12-plugin", "scripts/cuda.lock"))
    ]
    assert versions[0] and versions[0] == versions[1]


def test_the_workflow_runs_what_ci_runs_on_every_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    checks, images = workflow["jobs"]["checks"], workflow["jobs"]["images"]
    versions = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert versions
    wanted = [f"3.{minor}" for minor in range(int(versions[1]), int(versions[2]))]
    assert checks["strategy"]["matrix"]["python"] == wanted
    assert any(step.get("run") == ".ci/run" for step in checks["steps"])
    targets = set(re.findall(r"^FROM base AS (\w+)", TEXT, flags=re.MULTILINE))
    assert set(images["strategy"]["matrix"]["target"]) == targets
