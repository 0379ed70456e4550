"""Data and helpers that several tests share."""

from __future__ import annotations

import atexit
import gc
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import filelock
import hypothesis
import numpy as np
import pytest
from PIL import Image

from tests.helpers import bytecode
from tests.helpers.fork_server import ForkServer

# The same examples on every machine, and no time limit that a busy one could miss.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

ROOT = Path(__file__).parent.parent
SPECIES = ("Blue Stripe", "Green Dot", "Red Edge")

# Every config of a test is this one: seconds on one core.
TINY_CONFIG = """
from butterflyer_jax.config import BuildConfig, Config, DataConfig, ExportConfig, ModelConfig, OptimConfig

def get_config():
    return Config(
        batch_size=8,
        num_epochs=2,
        log_every_steps=1,
        build=BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2),
        data=DataConfig(image_size=32, eval_crop_fraction=0.9),
        model=ModelConfig(variant="vgg11", batch_norm=True, head="gap", width_multiplier=0.0625),
        optim=OptimConfig(name="adamw", learning_rate=1e-3),
        # Keras takes longer than such a run.
        export=ExportConfig(format="none"),
    )
"""


def encode(image: Image.Image, picture_format: str = "JPEG", **options: object) -> bytes:
    """Returns an image as the bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def make_photo(seed: int, width: int = 64, height: int = 56) -> bytes:
    """Returns a JPEG of noise, smooth enough to survive compression; each seed another picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 8, 3), np.uint8)
    return encode(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def make_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """Writes a zip with these members; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def folder_members(per_species: int = 20) -> dict[str, bytes]:
    """Returns members in the layout `<Species>/<photo>` for `make_zip`."""
    return {
        f"{species}/{number:03}.jpg": make_photo(1000 * label + number)
        for label, species in enumerate(SPECIES)
        for number in range(per_species)
    }


def shared(name: str, make: Callable[[Path], object]) -> Path:
    """Returns a folder of this session, which the worker that needs it first makes for all. Tests leave it as it is."""
    folder = Path(os.environ["BUTTERFLYER_TESTS_SHARED"]) / name
    whole = folder.with_suffix(".whole")
    with filelock.FileLock(folder.with_suffix(".lock")):
        if not whole.exists():
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def raw_zip() -> Path:
    """A raw zip of 60 photos of 3 species."""
    return shared("raw", lambda folder: make_zip(folder / "butterflies.zip", folder_members())) / "butterflies.zip"


@pytest.fixture(scope="session")
def dataset(raw_zip: Path) -> Path:
    """The folder of the data set built from `raw_zip`: 36 train, 12 val, 12 test photos."""
    from butterflyer_jax.config import BuildConfig
    from butterflyer_jax.data.build import build

    config = BuildConfig(image_size=48, val_fraction=0.2, test_fraction=0.2)
    [card] = shared("built", lambda folder: build(raw_zip, folder, config)).rglob("data_card.json")
    return card.parent


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file of a run that takes seconds."""
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    path.write_text(TINY_CONFIG)
    return path


@pytest.fixture(scope="session")
def trained_run(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, tiny_config: Path, request: pytest.FixtureRequest
) -> Path:
    """The folder of an undisturbed run of the training command: two epochs of four steps."""

    def train(run: Path) -> None:
        line = ["--config", tiny_config, "--input", dataset, "--output", run]
        server: ForkServer = request.getfixturevalue("fork_server")
        done = server.run("butterflyer_jax.train", [*map(str, line)], os.environ, ROOT, 300)
        assert done.returncode == 0, done.stderr

    # Tests evaluate and export it: each worker has a copy.
    return shutil.copytree(shared("trained", train), tmp_path_factory.mktemp("runs") / "trained")


def pytest_addoption() -> None:
    """Prepares this process: once this file is loaded, before the conftest of a folder imports JAX and our package."""
    folder = os.environ.get("BUTTERFLYER_TESTS_SHARED")
    if folder is None:
        # Of this session alone: its workers and their processes share it.
        folder = os.environ["BUTTERFLYER_TESTS_SHARED"] = tempfile.mkdtemp(prefix="butterflyer-tests-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Not the cache of the user who runs the tests.
    os.environ.setdefault("BUTTERFLYER_CACHE", f"{folder}/cache")
    # Commands compile the same small networks over and over: they share what XLA made.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/xla")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # LLVM's later passes cost a fifth of the time of all tests of networks, and gain these small ones nothing.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
    # As in a terminal, also where a shell that runs this in the background, or nohup, has them ignored.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    # Where no bytecode may lie beside the sources, each process would compile JAX and TensorFlow for six seconds.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        sys.dont_write_bytecode = False
        bytecode.link(sys.pycache_prefix)
    # Imports jax, which reads these variables.
    from tests.helpers import shape_checks

    shape_checks.install()


# Compiles in a quarter of the time, to programs that are slower and round otherwise: for tests that compile many
# programs, and compare no numbers with those of other runs.
QUICKLY_COMPILED = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"}


def on_devices(count: int, more: str = "") -> dict[str, str]:
    """Returns the environment of a process that takes the CPU for `count` devices, with more flags of XLA."""
    # Without any of LLVM's passes: programs of several devices are long, and run for few steps.
    flags = f"--xla_backend_optimization_level=0 --xla_force_host_platform_device_count={count}"
    return {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {flags} {more}"}


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Tests are not named by bytes: a compressed file holds the time, and the workers' lists of tests must agree."""
    return argname if isinstance(val, bytes) else None


# Files that take longest, these first: one that begins last keeps one worker busy while the other has nothing to do.
LONGEST = (
    "commands/test_train.py",
    "distributed/test_sharding.py",
    "commands/test_processes.py",
    "app/test_page.py",
    "commands/test_stopping.py",
    "commands/test_app.py",
    "training/test_recipes.py",
    "commands/test_bucket.py",
    "commands/test_pretrained.py",
    "commands/test_errors.py",
    "export/test_export.py",
    "export/test_formats.py",
    "training/test_pretrained.py",
    "training/test_step.py",
    "training/test_golden.py",
    "training/test_distill.py",
    "data/test_damage.py",
)
RANKS = {str(ROOT / "tests" / name): rank for rank, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: (
            RANKS.get(str(item.path), len(RANKS)),
            item.path.parent.name != "commands",
            item.path.parent != ROOT / "tests",
        )
    )


def pytest_collection_finish() -> None:
    # The modules of all tests and their libraries stay: each full collection looked at 750,000 objects, for 0.5 s.
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def signals_are_left_alone() -> Iterator[None]:
    """A file of tests that leaves a handler behind fails, not the worker at a signal of a later one."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache folder of the test's own."""
    monkeypatch.setenv("BUTTERFLYER_CACHE", str(tmp_path / "cache"))


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Where most commands are run; its imports are made once."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def command(tmp_path: Path, request: pytest.FixtureRequest) -> Command:
    """Runs `python -m butterflyer_jax.<name> <arguments>` as a user would, with a cache of its own.

    Each command of the package is run `alone` by some test: as an interpreter of its own, that has imported nothing.
    """

    def run(
        name: str,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        timeout: float = 300,
        prefix: str = "",
        alone: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        module, words = f"butterflyer_jax.{name}", [*map(str, arguments)]
        environment = {**os.environ, "BUTTERFLYER_CACHE": str(tmp_path / "cache"), **(env or {})}
        if "STORAGE_EMULATOR_HOST" in environment:
            module, words = "tests.helpers.quick_retries", [module, *words]
        if not alone and not prefix:
            server: ForkServer = request.getfixturevalue("fork_server")
            if server.can_run(environment):
                return server.run(module, words, environment, cwd, timeout)
        line = [sys.executable, "-m", module, *words]
        if prefix:
            # Python 3.11 would keep a file of bytecode that is cut at a limit.
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
            line = ["bash", "-c", f'{prefix}; exec "$@"', "bash", *line]
        return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


def assert_one_line_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Checks that a command ended with one clear line on stderr that holds `parts`, and an exit code that is not 0."""
    assert result.returncode != 0, result.stdout
    assert "Traceback" not in result.stderr, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.rstrip().endswith(errors[0]), result.stderr
    for part in parts:
        assert part in errors[0]
