"""The README's own words, run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from butterflyer_jax import evaluate, launch, load_config, predict, preview, sweep, train
from butterflyer_jax.app import __main__ as app
from butterflyer_jax.app import feedback
from butterflyer_jax.app.knowledge import __main__
from butterflyer_jax.cloud import vertex
from butterflyer_jax.data import build
from butterflyer_jax.distributed import processes
from butterflyer_jax.errors import UserError
from butterflyer_jax.export import __main__ as export
from tests.conftest import ROOT, SPECIES, make_photo

COMMANDS = {
    "train": train.main,
    "evaluate": evaluate.main,
    "export": export.main,
    "predict": predict.main,
    "preview": preview.main,
    "sweep": sweep.main,
    "data.build": build.main,
    "launch": launch.main,
    "app": app.main,
    "app.feedback": feedback.main,
    "app.knowledge": __main__.main,
}
# As the README exports them.
VARIABLES = {
    "BUCKET": "bucket",
    "REGION": "us-central1",
    "IMAGE": "us-central1-docker.pkg.dev/p/r/train:1",
    "ACCOUNT": "a@p.iam.gserviceaccount.com",
}
NOWHERE = {
    "--input": "/nowhere.zip",
    "--run": "/nowhere",
    "--file": "/nowhere",
    "--species": "/nowhere",
    "--slices": "/nowhere.csv",
}
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_ten_lines_of_python_run(
    tmp_path: Path,
    raw_zip: Path,
    tiny_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "demo" / "raw").mkdir(parents=True)
    (tmp_path / "configs").mkdir()
    shutil.copy(raw_zip, tmp_path / "demo" / "raw" / "butterflies.zip")
    shutil.copy(tiny_config, tmp_path / "configs" / "demo.py")
    (tmp_path / "photo.jpg").write_bytes(make_photo(1))
    monkeypatch.chdir(tmp_path)
    [code] = blocks("python")
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})
    top1, species = capsys.readouterr().out.splitlines()[-2:]
    assert 0 <= float(top1) <= 1
    assert species in SPECIES


def test_every_file_and_config_that_the_readme_names_is_there() -> None:
    for name in re.findall(r"(?:configs|scripts|tests|notebooks|\.github)/[\w./-]+\w", README):
        assert (ROOT / name).exists(), name


def test_every_command_line_is_one_that_the_commands_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # There is nobody to join.
    monkeypatch.setattr(processes, "start", lambda place: None)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")

    def no_account() -> None:
        raise UserError("credentials are nowhere")

    monkeypatch.setattr(vertex, "authorized_session", no_account)
    lines = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    # Behind a pipe too.
    ours = [shlex.split(line[line.index("python -m") :]) for line in lines if "-m butterflyer_jax." in line]
    assert len(ours) >= 4
    for words in ours:
        name, arguments = words[2].removeprefix("butterflyer_jax."), words[3:]
        main = COMMANDS[name]
        if name == "launch":
            arguments = [re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], word) for word in arguments]
            if {"--dry-run", "--estimate", "--on"} & set(arguments):
                main(arguments)
                continue
        # Up to the first thing that is not on this machine, every word was understood.
        if name == "app.knowledge":
            arguments = ["/nowhere"]
        for flag, wrong in NOWHERE.items():
            if flag in arguments and name != "launch":
                arguments[arguments.index(flag) + 1] = wrong
        if "--output" in arguments and name != "launch":
            arguments[arguments.index("--output") + 1] = str(tmp_path / "output")
        source = "--config.model.pretrained="
        arguments = [f"{source}/nowhere.pth" if word.startswith(source) else word for word in arguments]
        with pytest.raises(UserError, match=r"nowhere|this machine has|could not be trained"):
            main(arguments)


def test_nothing_was_left_to_be_filled_in() -> None:
    assert not re.findall(r"\b[A-Z]+_(?:MINUTES|RESULT)\b", README)


def test_the_table_of_configs_is_whole() -> None:
    named = set(re.findall(r"configs/(\w+)\.py", README))
    assert named >= {path.stem for path in (ROOT / "configs").glob("*.py")}
    for name in named:
        load_config(ROOT / "configs" / f"{name}.py")
