"""The command `butterflyer`: its subcommands, completion, configs by name, extras and `doctor`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from butterflyer_jax import UserError, cli, completion, doctor, extras, load_config
from butterflyer_jax.__main__ import COMMANDS, load, usage
from butterflyer_jax.__main__ import _run as run
from tests.conftest import ROOT


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    printed = capsys.readouterr().out
    assert printed == usage() + "\n"
    assert all(f"\n  {name}" in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_parser_of_its_name(name: str) -> None:
    parser = load(name).parser()
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.prog == f"butterflyer {name}"
    if name in ("train", "sweep"):
        assert "optim.learning_rate = 0.01" in parser.format_help()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_terminal_and_loses_no_word(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for name in COMMANDS:
        parser = load(name).parser()
        text = parser.format_help()
        # A long address or list of choices is not cut.
        assert all(len(line) <= width or len(max(line.split(), key=len)) > width / 2 for line in text.splitlines()), (
            name
        )
        expected = f"{parser.description} {parser.epilog or ''}".split()
        assert set(expected) <= set(text.split()), name
    assert "\n    butterflyer predict --model model.onnx IMAGE…\n" in load("predict").parser().format_help()


def test_help_answers_at_once() -> None:
    """In one process, as only the libraries count that none of the commands imports for it."""
    code = """
import sys
from butterflyer_jax.__main__ import COMMANDS, load
for name in COMMANDS:
    try:
        load(name).main(["--help"])
    except SystemExit:
        pass
    heavy = {"jax", "flax", "orbax", "tensorflow", "scipy", "matplotlib"} & sys.modules.keys()
    assert not heavy, (name, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_command_gets_its_arguments() -> None:
    with pytest.raises(UserError, match="no such config file: nowhere"):
        run(["train", "--config", "nowhere.py", "--input", "fake", "--output", "x"])


def test_a_wrong_command_is_one_line_with_the_close_one() -> None:
    result = subprocess.run([sys.executable, "-m", "butterflyer_jax", "trian"], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "error: unknown command trian; did you mean train? (see butterflyer --help)\n"


def test_help_and_a_command_is_the_help_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(["help", "predict"])
    assert capsys.readouterr().out.startswith("usage: butterflyer predict ")
    with pytest.raises(UserError, match=r"unknown command --versoin; did you mean --version\?"):
        run(["--versoin"])


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    import butterflyer_jax

    run(["--version"])
    assert capsys.readouterr().out == f"butterflyer {butterflyer_jax.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_commands_options_and_config_fields(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    completion.main([shell])
    script = capsys.readouterr().out
    assert all(word in script for word in ("evaluate", "--split", "config.optim.learning_rate"))
    if shell == "bash":
        file = tmp_path / "script"
        file.write_text(script)
        typed = (
            f'source {file}; COMP_WORDS=(butterflyer pre); COMP_CWORD=1; _shtab_butterflyer; echo "${{COMPREPLY[@]}}"'
        )
        assert subprocess.run(["bash", "-c", typed], capture_output=True, text=True).stdout == "predict preview\n"


def test_a_config_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.config_names() == sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
    monkeypatch.chdir(tmp_path)
    assert load_config("cpu") == load_config(ROOT / "configs" / "cpu.py")
    # A file of the user's comes first.
    (tmp_path / "cpu").write_text((ROOT / "configs" / "demo.py").read_text())
    assert load_config("cpu") == load_config("demo")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("vgg61", r"no such config file: vgg61; did you mean vgg16\?; configs by name: cpu, "),
        ("configs/cpu.py", r"no such config file: configs/cpu.py; .* --config cpu$"),
    ],
)
def test_a_config_that_is_not_there_is_one_line(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=hint):
        cli.find_config(name)


def test_a_missing_extra_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    line = f"building records needs tensorflow_datasets; install it with: {extras.install_command('train')}"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        run(["build", "--input", "photos.zip", "--output", "records"])


@pytest.mark.parametrize(
    ("source", "command"),
    [
        (None, "pip install 'butterflyer-jax[train]'"),
        (
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            "pip install --editable '/home/me/my clone[train]'",
        ),
        ({"url": "file:///home/me/clone", "dir_info": {}}, "pip install '/home/me/clone[train]'"),
        (
            {"url": "file:///tmp/butterflyer_jax-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'butterflyer-jax[train] @ file:///tmp/butterflyer_jax-1-py3-none-any.whl'",
        ),
    ],
)
def test_an_extra_is_installed_from_where_the_package_came(
    source: dict[str, object] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(self: object, name: str) -> str | None:
        return json.dumps(source) if source and name == "direct_url.json" else None

    monkeypatch.setattr(metadata.PathDistribution, "read_text", read_text)
    monkeypatch.setattr(extras, "is_installed", lambda module: True)
    assert extras.install_command("train") == command
    monkeypatch.setattr(extras, "is_installed", lambda module: False)
    assert extras.install_command("train") == f"uv {command}"


def test_doctor_lists_devices_and_extras(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor"])
    printed = capsys.readouterr().out
    assert "core         complete" in printed
    assert "(cpu)" in printed
    for name in extras.PURPOSES:
        assert f"\n  {name} " in printed
    assert f" {extras.install_command('tpu')}\n" in printed


def test_doctor_sees_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = doctor.metadata.version

    def without(name: str) -> str:
        if name.lower() in ("optax", "wandb"):
            raise doctor.metadata.PackageNotFoundError(name)
        return "0.0.1" if name == "fastapi" else real(name)

    monkeypatch.setattr(doctor.metadata, "version", without)
    parts = {part.name: part for part in doctor.installed_parts()}
    assert parts[""].missing == ("optax",)
    assert parts["wandb"].missing == ("wandb",)
    assert parts["app"].missing == ("fastapi>=0.115 (installed: 0.0.1)",)
    assert not parts["export"].missing
    with pytest.raises(SystemExit, match="1"):
        doctor.main([])
    assert "broken, missing optax" in capsys.readouterr().out


def test_doctor_says_why_jax_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import jax

    def devices() -> list[jax.Device]:
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit, match="1"):
        doctor.main([])
    assert "JAX does not start: AssertionError (JAX_PLATFORMS is cuda: unset it)" in capsys.readouterr().out


def test_every_extra_has_a_purpose() -> None:
    import tomllib

    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert set(extras.PURPOSES) == declared - {"all", "dev", "notebooks"}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "many"])
def test_a_number_is_finite(text: str) -> None:
    for line in (
        ["app", "--run", "nowhere", f"--max_mib={text}"],
        ["audit", "--run", "nowhere", f"--accept={text}"],
        ["launch", "--estimate", f"--images_per_second={text}"],
    ):
        with pytest.raises(UserError, match=f"invalid number value: '{text}'"):
            run(line)
