"""What other platforms lack: fcntl, os.pread and SIGHUP on Windows, cykooz-resizer on ARM, the packages of extras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from butterflyer_jax.storage import open_files
from tests.conftest import make_photo

# What only some platforms, or extras, bring; and the commands that work without.
ELSEWHERE = ("fcntl", "termios", "pwd", "grp", "cykooz_resizer")
EXTRAS = (
    *("tensorflow", "tensorflow_datasets", "apache_beam", "keras", "onnx", "onnxruntime", "h5py", "safetensors"),
    *("huggingface_hub", "openpyxl", "gcsfs", "aiohttp", "google.auth", "wandb", "tensorboardX", "optuna"),
)
BARE = f"""
import importlib, os, signal, sys, warnings
# Of filelock, which takes what is left out here for a system without open_files.
warnings.filterwarnings("ignore", message="only soft file lock")
sys.modules.update(dict.fromkeys({ELSEWHERE + EXTRAS}))
for name in ("pread", "fork", "O_CLOEXEC"):
    delattr(os, name)
for name in ("SIGHUP", "SIGALRM", "setitimer"):
    delattr(signal, name)
"""


def run_bare(code: str, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Its own cache: without fcntl a lock file that is there is a lock that is held.
    env = os.environ | ({} if cache is None else {"BUTTERFLYER_CACHE": str(cache)})
    return subprocess.run([sys.executable, "-c", BARE + code], capture_output=True, text=True, env=env)


def test_predict_and_app_import_without_extras_and_posix() -> None:
    modules = ["predict", "evaluate", "doctor", "export.__main__", "runs", "train", "data.dataset", "launch"]
    app = ["app.__main__", "app.identify", "app.feedback", "app.server.service", "app.server.decode_worker"]
    result = run_bare(f"for name in {modules + app}: importlib.import_module('butterflyer_jax.' + name)")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_photo_is_named_without_extras_and_posix(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(make_photo(3, 200, 150))
    result = run_bare(
        "from butterflyer_jax import predict\n"
        f"predict.main(['--run', {str(trained_run)!r}, {str(tmp_path / 'photo.jpg')!r}, '--format', 'csv'])",
        tmp_path / "cache",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith(str(tmp_path / "photo.jpg"))


def test_a_run_is_evaluated_without_extras_and_posix(trained_run: Path, tmp_path: Path) -> None:
    code = f"from butterflyer_jax import evaluate\nevaluate.main(['--run', {str(trained_run)!r}])"
    result = run_bare(code, tmp_path / "cache")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("test: top1 ")


@pytest.mark.parametrize("pread", [True, False])
def test_reading_at_an_offset(pread: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pread:
        monkeypatch.delattr("os.pread")
    (tmp_path / "file").write_bytes(bytes(range(100)))
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert open_files.read_at(file, 5, 90) == bytes(range(90, 95))
        assert open_files.read_at(file.fileno(), 20, 95) == bytes(range(95, 100))


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as first, (tmp_path / "lock").open("a") as second:
        open_files.lock(first)
        assert not open_files.try_lock(second)
        first.close()
        assert open_files.try_lock(second)
