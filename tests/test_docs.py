"""The words of README.md and docs/, run: commands parse, Python runs, files exist, numbers are not left out."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from butterflyer_jax import UserError, cli, launch, load_config, sweep
from butterflyer_jax.__main__ import COMMANDS, load
from butterflyer_jax.cloud import vertex
from butterflyer_jax.distributed import processes
from tests.conftest import ROOT, SPECIES, make_photo

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = {module.removesuffix(".__main__"): name for name, (module, _) in COMMANDS.items()}
# As the pages export them.
VARIABLES = {
    "BUCKET": "bucket",
    "REGION": "us-central1",
    "IMAGE": "us-central1-docker.pkg.dev/p/r/train:1",
    "ACCOUNT": "a@p.iam.gserviceaccount.com",
}
# In place of what is not on this machine.
NOWHERE = {
    "--input": "/nowhere.zip",
    "--run": "/nowhere",
    "--model": "/nowhere",
    "--file": "/nowhere",
    "--species": "/nowhere.txt",
    "--knowledge": "/nowhere",
    "--slices": "/nowhere.csv",
    "--species_map": "/nowhere.csv",
    "--labels": "/nowhere.csv",
}
WITHOUT_INPUT = ("doctor", "completion", "synthetic")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def command_lines(page: Path) -> list[list[str]]:
    """Returns the words of every line that calls a command of ours, from the command's name on."""
    found = []
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            # Behind a pipe, a variable or `&&` too, and in front of a redirection.
            for part in re.split(r"\s*(?:&&|\||;)\s*", line):
                if match := re.search(r"(?:^|\s)(?:python -m butterflyer_jax\.|butterflyer )(?=[a-z])", part):
                    words = shlex.split(re.sub(r"\s>.*", "", part[match.end() :]), comments=True)
                    found.append([MODULES.get(words[0], words[0]), *words[1:]])
    return found


CALLS = [(page, words) for page in PAGES for words in command_lines(page)]


def test_most_pages_have_commands() -> None:
    assert len(CALLS) > 30
    assert {words[0] for _, words in CALLS} >= {
        *("build", "train", "evaluate", "compare", "predict", "export", "app", "sweep", "launch", "preview", "doctor"),
        "app.knowledge",
        "app.feedback",
    }


@pytest.mark.parametrize(
    ("page", "words"), CALLS, ids=[f"{page.stem}-{number}-{words[0]}" for number, (page, words) in enumerate(CALLS)]
)
def test_a_command_line_is_one_that_the_command_takes(
    page: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    # There is nobody to join.
    monkeypatch.setattr(processes, "start", lambda place: None)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")
    monkeypatch.setenv("BUTTERFLYER_APP_PASSWORD", "long enough a word")

    def no_account() -> None:
        raise UserError("credentials are nowhere")

    monkeypatch.setattr(vertex, "authorized_session", no_account)
    name, arguments = words[0], words[1:]
    assert name in COMMANDS, f"{page.name} calls an unknown command {name}"
    if "--help" in arguments or name in WITHOUT_INPUT:
        load(name).parser().parse_args([word for word in arguments if word != "--help"])
        return
    if name == "launch":
        arguments = [re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], word) for word in arguments]
        if {"--dry-run", "--estimate", "--on"} & set(arguments):
            launch.main(arguments)
            return
    if name == "sweep":
        # Each trial would be a process.
        args, rest = sweep.parser().parse_known_args(arguments)
        config = load_config(args.config, cli.split_overrides(rest))
        assert sweep.load_sweep(cli.find_config(args.config), config)
        return
    # Up to the first thing that is not on this machine, every word was understood.
    if "--species_map" in arguments:
        arguments[arguments.index("--species_map") + 1] = "/nowhere/table.csv"
    if name == "compare":
        arguments[0] = "/nowhere"
    if name == "app.knowledge":
        arguments = ["/nowhere"]
    for flag, wrong in NOWHERE.items():
        if flag in arguments and name != "launch":
            arguments[arguments.index(flag) + 1] = wrong
    if "--output" in arguments and name != "launch":
        arguments[arguments.index("--output") + 1] = str(tmp_path / "output")
    for source in ("--config.model.pretrained=", "--config.distill.teacher="):
        arguments = [f"{source}/nowhere.pth" if word.startswith(source) else word for word in arguments]
    with pytest.raises(UserError, match=r"nowhere|this machine has|JAX sees no GPU"):
        load(name).main(arguments)


def test_the_python_of_the_readme_runs(
    tmp_path: Path,
    raw_zip: Path,
    tiny_config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "demo" / "raw").mkdir(parents=True)
    shutil.copy(raw_zip, tmp_path / "demo" / "raw" / "butterflies.zip")
    # In place of the config of that name, whose training takes a minute.
    shutil.copy(tiny_config, tmp_path / "demo.py")
    [code] = blocks(README, "python")
    # What the shell commands above it leave behind.
    [photo] = re.findall(r'"(demo/photos/.+\.jpg)"', code)
    assert any(photo in words for words in command_lines(README))
    (tmp_path / photo).parent.mkdir(parents=True)
    (tmp_path / photo).write_bytes(make_photo(1))
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code.replace('"demo"', '"demo.py"'), "README.md", "exec"), {})
    top1, species = capsys.readouterr().out.splitlines()[-2:]
    assert 0 <= float(top1) <= 1
    assert species in SPECIES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_compiles_and_files_exist(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, page.name, "exec")
    text = page.read_text()
    for name in re.findall(r"(?<![\w/])(?:configs|scripts|tests|notebooks|benchmarks|docs)/[\w./-]+\w", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / link).exists(), link


def test_every_row_of_what_can_happen_names_tests_that_there_are() -> None:
    lines = (ROOT / "docs" / "guides" / "failures.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith(("| what |", "| --- |"))]
    assert len(rows) > 40
    for row in rows:
        what, happens, tests = row[2:-2].split(" | ")
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", tests)
        assert what and happens and named, row
        for file, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), f"{file}::{name}"


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_the_table_of_recipes_is_whole() -> None:
    recipes = (ROOT / "docs" / "recipes.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", recipes, flags=re.MULTILINE))
    assert named >= {path.stem for path in (ROOT / "configs").glob("*.py")}
    for path in (ROOT / "configs").glob("*.py"):
        load_config(path.stem)
