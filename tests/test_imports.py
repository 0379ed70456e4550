"""Who may import whom, and what an import costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "butterflyer_jax"

# What works on a machine without TensorFlow.
WITHOUT_TENSORFLOW = (
    "train",
    "evaluate",
    "predict",
    "sweep",
    "training.loop",
    "training.diagnostics",
    "training.validation_images",
    "audit",
    "evaluation.audit",
    "evaluation.evaluate",
    "evaluation.report",
    "export",
    "export.reader",
    "inference.predictor",
    "runs.checkpoint",
    "runs.sync",
    "distributed.processes",
    "tracking.tensorboard",
    "tracking.wandb_tracker",
    "storage.download",
    "storage.staging",
    "cloud.secret",
    "data.dataset",
    "data.input.fake",
    "data.input.position",
    "app.__main__",
    "app.server.service",
)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_training_side_leaves_tensorflow_alone() -> None:
    imports = "".join(f"import butterflyer_jax.{name}\n" for name in WITHOUT_TENSORFLOW)
    result = run_python(f"import sys\n{imports}print('tensorflow' in sys.modules)")
    assert result.stdout == "False\n", result.stderr


def test_the_package_itself_imports_neither_jax_nor_tensorflow() -> None:
    code = "import sys, butterflyer_jax as bj; bj.load_config, bj.Config; print({'jax', 'tensorflow'} & {*sys.modules})"
    assert run_python(code).stdout == "set()\n"


def test_the_library_has_one_face() -> None:
    code = (
        "import inspect, sys, butterflyer_jax as bj\n"
        "assert set(bj.__all__) <= set(dir(bj))\n"
        "for name in bj.__all__: assert callable(getattr(bj, name)), name\n"
        "from butterflyer_jax.train import train\n"
        "import butterflyer_jax.export\n"
        "assert callable(bj.train) and bj.train.train is train and callable(bj.export)\n"
        "assert inspect.signature(bj.train) == inspect.signature(train)\n"
        "print('tensorflow' in sys.modules)\n"
    )
    result = run_python(code)
    assert result.stdout == "False\n", result.stderr
    assert (PACKAGE / "py.typed").exists()


def test_an_unknown_name_is_no_attribute() -> None:
    import butterflyer_jax

    with pytest.raises(AttributeError, match="trane"):
        _ = butterflyer_jax.trane


def test_the_design_page_shows_the_floors_of_the_contract() -> None:
    root = PACKAGE.parent
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [floors] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    rows = re.findall(r"^\| \d+ \| (.*) \|$", (root / "docs" / "design.md").read_text(), re.MULTILINE)
    shown = [row.replace("\\", "").split(", ") for row in rows]
    assert shown == [[name.removeprefix("butterflyer_jax.") for name in floor.split(" | ")] for floor in floors]
