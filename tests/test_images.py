"""The Dockerfile: its parts, and (slow) its steps done in order, without an engine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from butterflyer_jax import load_config, train
from butterflyer_jax.errors import UserError
from tests import images
from tests.conftest import ROOT, folder_members, make_zip

TEXT = (ROOT / "Dockerfile").read_text()


def stages() -> dict[str, images.Stage]:
    return {stage.name: stage for stage in images.parse(TEXT)[1]}


def test_the_images_are_what_was_asked_for() -> None:
    steps = {name: dict(stage.steps) for name, stage in stages().items()}
    assert {stages()[name].base for name in ("data", "train", "app")} == {"base"}
    assert steps["data"]["ENTRYPOINT"] == '["python", "-m", "butterflyer_jax.data.build"]'
    assert steps["train"]["ENTRYPOINT"] == '["python", "-m", "butterflyer_jax.train"]'
    assert steps["app"]["ENTRYPOINT"] == '["python", "-m", "butterflyer_jax.app"]'
    assert '"--gpu", "1"' in steps["train"]["CMD"]
    assert steps["base"]["USER"].split(":")[0] not in ("0", "root")
    assert steps["base"]["VOLUME"] == "/cache"
    assert "BUTTERFLYER_CACHE=/cache" in steps["base"]["ENV"]
    assert ("ARG", "ACCELERATOR=cpu") in stages()["packages"].steps
    for _, step in [step for stage in stages().values() for step in stage.steps if step[0] == "RUN"]:
        if "pip install" in step:
            assert "--require-hashes" in step, "every package by its hash"
    assert not re.search(r"(KEY|TOKEN|PASSWORD)=", TEXT)


def test_the_default_arguments_are_ones_that_training_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    arguments = json.loads(dict(stages()["train"].steps)["CMD"])
    monkeypatch.chdir(ROOT)
    assert load_config(arguments[arguments.index("--config") + 1])
    arguments[arguments.index("--gpu") + 1] = "1000"
    with pytest.raises(UserError, match="this machine has"):
        train.main(arguments)


def test_an_image_is_built_from_little() -> None:
    names = {file.as_posix() for file in images.context()}
    assert {name.split("/")[0] for name in names} == {
        "butterflyer_jax", "configs", "scripts", "pyproject.toml", "requirements.lock", "LICENSE", "README.md",
    }  # fmt: skip
    assert {name for name in names if name.startswith("scripts/")} == {"scripts/cuda.lock"}
    assert "butterflyer_jax/cloud/machines.json" in names


def test_the_locks_agree() -> None:
    """The one of CUDA holds what the other does not."""
    packages = [
        set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), flags=re.MULTILINE))
        for name in ("requirements.lock", "scripts/cuda.lock")
    ]
    assert not packages[0] & packages[1]
    assert "jax-cuda12-plugin" in packages[1]
    versions = [
        re.search(rf"^{name}==(.+?) ", (ROOT / file).read_text(), flags=re.MULTILINE)[1]  # type: ignore[index]
        for name, file in (("jaxlib", "requirements.lock"), ("jax-cuda12-plugin", "scripts/cuda.lock"))
    ]
    assert versions[0] == versions[1]


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = beside if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint")
    subprocess.run([hadolint, ROOT / "Dockerfile"], check=True)


def can_mount() -> bool:
    if sys.platform != "linux" or os.geteuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        parts = [Path(folder) / name for name in ("upper", "work", "merged")]
        for part in parts:
            part.mkdir()
        upper, work, merged = parts
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        line = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, merged]
        return subprocess.run(line, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def builder() -> Iterator[images.Builder]:
    if not os.environ.get("BUTTERFLYER_IMAGES"):
        pytest.skip("fetches a gigabyte: set BUTTERFLYER_IMAGES=1")
    if not can_mount():
        pytest.skip("needs root and the right to mount")
    with tempfile.TemporaryDirectory(prefix="butterflyer-image-", dir="/var/tmp") as scratch:
        yield images.Builder(Path(scratch), {})


@pytest.mark.slow
def test_its_steps_build_images_that_answer_build_and_train(builder: images.Builder) -> None:
    """Half a minute of computing and a gigabyte of packages; each command as the image's own user."""
    data, train, app = builder.build("data"), builder.build("train"), builder.build("app")
    make_zip(data.layer / "data" / "raw.zip", folder_members())
    for image in (data, train, app):
        builder.run(image, [*image.entrypoint, "--help"])
        builder.run(image, ["sh", "-c", "test $(id -u) = 10001 && ! touch /app/configs/x && ! test -e /app/README.md"])
    small = ["--config", "configs/demo.py", "--config.num_epochs=1", "--config.model.width_multiplier=0.125"]
    builder.run(data, [*data.entrypoint, "--input", "/data/raw.zip", "--output", "/data/records"])
    builder.run(train, [*train.entrypoint, *small, "--input", "fake", "--output", "/runs/fake"])
    builder.run(
        train,
        [*train.entrypoint, *small, "--config.batch_size=8", "--input", "/data/records", "--output", "/runs/real"],
    )
    assert (train.layer / "runs" / "real" / "metrics.jsonl").exists()
    # The check of the app's health, while it answers; it ends with it.
    (app.layer / "data" / "password").write_text("correct horse")
    app.environment["BUTTERFLYER_APP_PASSWORD_FILE"] = "/data/password"
    serve = shlex.join([*app.entrypoint, *app.command]).replace("/runs/vgg16", "/runs/real")
    check = shlex.join(app.healthcheck)
    builder.run(
        app, ["sh", "-c", f"{serve} & for i in $(seq 60); do {check} && exec kill $!; sleep 2; done 2>&1; exit 1"]
    )
    # The program's own tests and tools are in no image.
    site = next((train.layer / "opt" / "butterflyer" / "lib").glob("python3*")) / "site-packages"
    for name in ("pytest", "ruff", "gradio"):
        assert not (site / name).exists()
