"""The process that reads an export by its own runtime, without this package."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from butterflyer_jax.errors import UserError
from butterflyer_jax.export.network import PROBABILITIES, TYPICALITY

_SCRIPT = """
import importlib, importlib.metadata, json, os, pathlib, sys
runtime, blocked = sys.argv[1], json.loads(sys.argv[2])
# As on a machine where they are not installed.
sys.modules.update(dict.fromkeys(blocked))
import numpy as np
try:
    importlib.import_module(runtime)
except Exception:
    # Raised by the code, if it needs it.
    pass
line = sys.stdin.readline()
if not line:
    sys.exit()
asked = json.loads(line)
path = asked["path"]
exec(asked["code"])
images = np.load(asked["images"])["images"]
# Batches of two sizes: of one photo, and of the rest.
parts = [answer(part) for part in (images[:1], images[1:]) if len(part)]
found = [part for part in asked["outputs"] if part in parts[0]]
result = {part: np.concatenate([np.asarray(one[part]) for one in parts]) for part in found}
result["of_none"] = np.asarray(probabilities(images[:0]))
files = asked["files"]
result["files"] = np.concatenate([np.asarray(probabilities(pixels_of(file)[None])) for file in files])
result["names"] = [name(file)[0] for file in files]
if "probabilities_of_bytes" in globals():
    result["bytes"] = np.asarray(probabilities_of_bytes([pathlib.Path(file).read_bytes() for file in files]))
def version(name):
    for name in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return "of unknown version"
np.savez(asked["answers"], version=version(runtime), **result)
# All is written: TensorFlow takes a second to leave.
os._exit(0)
"""


# Keras imports these where they are installed, and needs none of them: a third of the time that it and TensorFlow take.
UNUSED = ("pandas", "matplotlib", "IPython")


class RuntimeProcess:
    """A process that imports a runtime when it starts, and then waits for the export that it is to read.

    Some runtimes take seconds to import: started early, they do so while the export is made.
    """

    def __init__(self, python: str, runtime: str) -> None:
        """Starts the process; an interpreter that cannot start is reported by `read`.

        Args:
          python: interpreter; it needs NumPy, Pillow and the runtime.
          runtime: name by which the runtime is imported.
        """
        self._python, self._runtime = python, runtime
        blocked = ["butterflyer_jax", "flax", *UNUSED, *(() if runtime == "jax" else ("jax", "jaxlib"))]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
        # Of Keras 2; and the devices that a test invents.
        for name in ("TF_USE_LEGACY_KERAS", "XLA_FLAGS", "PYTHONPATH"):
            environment.pop(name, None)
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[str] | None = None
        self._problem = ""
        try:
            self._process = subprocess.Popen(
                [python, "-c", _SCRIPT, runtime, json.dumps(blocked)],
                cwd=self._folder.name,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            self._problem = f"--python {python}: {error.strerror or error}"

    def has_runtime(self) -> bool:
        """Returns whether the runtime is installed for the interpreter."""
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({self._runtime!r}) is None)"
        with contextlib.suppress(OSError):
            return subprocess.run([self._python, "-c", code], capture_output=True).returncode == 0
        # An interpreter that cannot start is reported when it is asked.
        return True

    def read(self, code: str, path: Path, images: np.ndarray, files: Sequence[bytes]) -> dict[str, Any]:
        """Returns what the export answers, once: a process reads one export.

        Args:
          code: Python code that reads it; see `usage.code`.
          path: path of the export.
          images: uint8 [count, image_size, image_size, 3].
          files: contents of image files.

        Returns:
          Arrays by name: the outputs of `images`; of_none, the probabilities of no image; files and names, the
          probabilities and species of `files`; bytes, the probabilities of these as bytes, where the code takes them;
          and the runtime's version.

        Raises:
          UserError: the interpreter cannot start, or the export cannot be read.
        """
        if self._process is None:
            raise UserError(self._problem)
        given, answers = Path(self._folder.name, "given.npz"), Path(self._folder.name, "answers.npz")
        np.savez(given, images=images)
        places = [Path(self._folder.name, f"{number}.image") for number in range(len(files))]
        for file, content in zip(places, files, strict=True):
            file.write_bytes(content)
        asked = {
            "path": str(path),
            "code": code,
            "images": str(given),
            "files": [*map(str, places)],
            "outputs": [PROBABILITIES, TYPICALITY],
            "answers": str(answers),
        }
        _, errors = self._process.communicate(json.dumps(asked) + "\n")
        if self._process.returncode:
            reason = (errors.strip() or f"it ended with {self._process.returncode}").splitlines()[-1]
            raise UserError(f"{self._runtime} cannot read what was written ({self._python}): {reason}")
        with np.load(answers) as stored:
            return {name: stored[name] for name in stored.files}

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()
