"""Who may import whom, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "butterflyer_jax"

TRAINING_SIDE = [
    "augment",
    "batch_size",
    "broken",
    "checkpoint",
    "checks",
    "cloud.secret",
    "compilation",
    "calibration",
    "config",
    "distributed",
    "drawing",
    "environment",
    "erasing",
    "evaluate",
    "export",
    "finish",
    "gallery",
    "loop",
    "losses",
    "mirror",
    "metrics",
    "mixing",
    "models",
    "models.layers",
    "models.vgg",
    "models.weights",
    "optim",
    "preempt",
    "pretrained",
    "profiling",
    "program",
    "progress",
    "randaugment",
    "resize",
    "runs",
    "scoring",
    "sharding",
    "startup",
    "step",
    "step_log",
    "tracking",
    "tracking.tensorboard",
    "tracking.wandb_tracker",
    "train",
    "predict",
    "data.download",
    "data.fake",
    "data.iterator",
    "data.source",
    "app.__main__",
    "app.exported",
    "app.service",
    "classifier",
    "predictor",
]

# Beside data/.
TENSORFLOW = {"export/keras.py", "export/savedmodel.py"}

# Modules at import time, of the package's own.
ALLOWED = {
    "config_limits": set(),
    "config": {"config_limits"},
    "distributed": {"config"},
    "loss_scale": set(),
    "profiling": {"config"},
    "compilation": {"config"},
    "losses": {"config"},
    "metrics": {"config"},
    "resize": {"config"},
    "randaugment": {"config"},
    "erasing": {"config"},
    "mixing": {"config", "erasing"},
    "augment": {"config", "resize", "randaugment", "erasing", "mixing"},
    "optim": {"config"},
    "broken": {"augment", "config", "data", "step"},
    "preempt": set(),
    "progress": {"config"},
    "environment": {"config", "compilation", "console", "data", "distributed"},
    "sharding": {"config"},
    "models": {"config"},
    "step": {"config", "losses", "loss_scale", "metrics", "augment", "mixing", "optim", "sharding"},
    "program": {"config", "losses", "models", "optim", "sharding", "step"},
    "batch_size": {"config", "compilation", "console", "program", "runs", "step"},
    "disk": {"config"},
    "checkpoint": {"config", "data", "disk", "progress"},
    "drawing": set(),
    "tracking": {"config", "drawing"},
    "gallery": {"config", "augment", "sharding", "step", "tracking"},
    "startup": {"console"},
    "report": {"config", "drawing", "scores"},
    "calibration": set(),
    "scores": set(),
    "slices": {"scores"},
    "gradcam": {"augment", "config", "models"},
    "heat_pictures": {"data"},
    "classifier": {"augment", "calibration", "gradcam", "runs"},
    "predictor": {"classifier", "data", "drawing", "pictures_in"},
    "scoring": {"augment", "config", "losses", "metrics", "sharding", "step"},
    "export": {"augment", "callable_module", "cli", "config", "config_limits", "data", "models", "runs"},
    "evaluation_report": {"calibration", "data", "gradcam", "report", "runs", "scoring", "tracking"},
    "finish": {"calibration", "config", "console", "data", "export", "runs", "scoring"},
    "data": {"config", "console", "cli", "disk", "report"},
    "step_log": {"broken", "config", "tracking", "console", "profiling"},
    "cloud": {"config", "console", "data"},
    "mirror": {"data"},
    "pretrained": {"config", "console", "checkpoint", "data", "models", "runs", "step"},
    "loop": {
        "config",
        "profiling",
        "preempt",
        "progress",
        "step",
        "broken",
        "step_log",
        "sharding",
        "checkpoint",
        "tracking",
        "evaluate",
        "gallery",
        "console",
    },
    "app": {"classifier", "cli", "config", "console", "data", "export"},
}


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_training_side_leaves_tensorflow_alone() -> None:
    imports = "".join(f"import butterflyer_jax.{name}\n" for name in TRAINING_SIDE)
    result = run_python(f"import sys\n{imports}print('tensorflow' in sys.modules)")
    assert result.stdout == "False\n", result.stderr


def test_the_package_itself_imports_neither_jax_nor_tensorflow() -> None:
    code = "import sys, butterflyer_jax as bj; bj.load_config, bj.Config; print({'jax', 'tensorflow'} & {*sys.modules})"
    assert run_python(code).stdout == "set()\n"


def outside_imports(path: Path) -> set[str]:
    """Returns the top-level packages that a file imports, at its top or in a function."""
    tree = ast.walk(ast.parse(path.read_text()))
    names = [
        name
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return {name.split(".")[0] for name in names}


def test_jax_and_tensorflow_keep_to_their_sides() -> None:
    for file in PACKAGE.rglob("*.py"):
        of_jax, of_tensorflow = {"jax", "flax", "optax", "orbax"}, {"tensorflow", "tensorflow_datasets", "keras"}
        side = of_jax if file.relative_to(PACKAGE).as_posix() in TENSORFLOW or "data" in file.parts else of_tensorflow
        assert not outside_imports(file) & side, file


def own_imports(path: Path) -> set[str]:
    """Returns the package's modules that a file imports, at its top or in a function; not what it does as a command."""
    names: set[str] = set()
    module = ast.parse(path.read_text())
    module.body = [node for node in module.body if not (isinstance(node, ast.If) and "__name__" in ast.dump(node.test))]
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "butterflyer_jax":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("butterflyer_jax."):
            names.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("butterflyer_jax.")}
    return names


@pytest.mark.parametrize("module", ALLOWED)
def test_nobody_imports_upward(module: str) -> None:
    home = PACKAGE / module
    files = home.rglob("*.py") if home.is_dir() else [PACKAGE / f"{module}.py"]
    for file in files:
        assert own_imports(file) - {module} <= ALLOWED[module], file


def test_the_library_has_one_face() -> None:
    code = (
        "import sys, butterflyer_jax as bj\n"
        "assert set(bj.__all__) <= set(dir(bj))\n"
        "for name in bj.__all__: assert callable(getattr(bj, name)), name\n"
        "from butterflyer_jax.train import train\n"
        "import butterflyer_jax.export\n"
        "assert callable(bj.train) and bj.train.train is train and callable(bj.export)\n"
        "print({'jax', 'tensorflow'} & {*sys.modules})\n"
    )
    result = run_python(code)
    assert result.stdout == "set()\n", result.stderr
    assert (PACKAGE / "py.typed").exists()


def test_an_unknown_name_is_no_attribute() -> None:
    import butterflyer_jax

    with pytest.raises(AttributeError, match="trane"):
        _ = butterflyer_jax.trane
