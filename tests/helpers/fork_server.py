"""Commands as processes that need not import JAX and TensorFlow again: a third of the time of most.

A server imports the libraries, not our package, and forks for each command. The child has its own arguments,
environment, folder and output, and ends as any interpreter does. To be sure that a command also starts on its own,
some tests run it so: see `tests.conftest.command`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

LIBRARIES = (
    *("jax", "flax.linen", "optax", "orbax.checkpoint", "tensorflow", "tensorflow_datasets", "gcsfs", "tenacity"),
    *("scipy.cluster.vq", "scipy.optimize", "scipy.stats", "matplotlib.figure", "jinja2", "PIL.ImageDraw"),
)
# As `butterflyer_jax.cli` and `butterflyer_jax.storage.paths` set them before these are imported.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_USE_LEGACY_KERAS": "1", "EPATH_USE_TF": "0"}
# Variables that an interpreter or a library reads when it starts, which the server's have done.
READ_AT_START = ("JAX_", "PYTHON")
OUTPUTS = ("stdout", "stderr")
# JAX looks for devices when they are first asked for.
PLATFORMS = "JAX_PLATFORMS"


def serve() -> None:
    """Forks for each line of standard input that starts a command, and waits for the one that another line names."""
    for name in LIBRARIES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork takes no other thread along"
    # Or each child looks at all of these objects, and copies their pages.
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
        elif process_id := os.fork():
            print(process_id, flush=True)
        else:
            become(**asked)


def become(module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: str, files: Sequence[str]) -> NoReturn:
    """Runs a module as `python -m` would, and ends."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for target, name in enumerate(files, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), target)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    import jax

    jax.config.update("jax_platforms", env.get(PLATFORMS))
    # nohup has it ignored, which is not what most users do.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.path[0] = cwd
    sys.argv = [module, *arguments]
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    # As an interpreter does, but for freeing all that the libraries hold, which takes longer than a short command.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


class Forked:
    """A command that was started. Its output lies in files until it has ended."""

    def __init__(self, server: ForkServer, line: Sequence[str], folder: Path, process_id: int) -> None:
        self._server, self._line, self._folder, self._process_id = server, line, folder, process_id

    def kill(self) -> None:
        """Ends it at once; not to be called after `wait`."""
        os.kill(self._process_id, signal.SIGKILL)

    def wait(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Returns its exit code and output, once it has ended.

        Raises:
          subprocess.TimeoutExpired: it took longer, and was killed.
        """
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        code = self._server.ask(self._process_id)
        expired = not timer.is_alive()
        timer.cancel()
        out, err = ((self._folder / name).read_text() for name in OUTPUTS)
        shutil.rmtree(self._folder)
        if expired:
            raise subprocess.TimeoutExpired(self._line, timeout, out, err)
        return subprocess.CompletedProcess(self._line, code, out, err)


class ForkServer:
    """The server's process. Commands that were started run side by side."""

    def __init__(self) -> None:
        self.environment = {**os.environ, **ENVIRONMENT}
        line = [sys.executable, "-c", "from tests.helpers import fork_server; fork_server.serve()"]
        self._process = subprocess.Popen(
            line,
            cwd=Path(__file__).parent.parent.parent,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def can_run(self, env: Mapping[str, str]) -> bool:
        """Returns whether the server can start a process with these variables."""
        ours, theirs = (
            {name: value for name, value in variables.items() if name.startswith(READ_AT_START) and name != PLATFORMS}
            for variables in (self.environment, env)
        )
        return ours == theirs

    def start(self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path) -> Forked:
        """Starts a module, for which `can_run` is true."""
        folder = Path(tempfile.mkdtemp())
        files = [folder / name for name in OUTPUTS]
        for file in files:
            file.touch()
        asked = {"module": module, "arguments": arguments, "env": dict(env), "cwd": str(cwd)}
        process_id = self.ask(asked | {"files": list(map(str, files))})
        return Forked(self, ["python", "-m", module, *arguments], folder, process_id)

    def run(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a module to its end: see `Forked.wait`."""
        return self.start(module, arguments, env, cwd).wait(timeout)

    def ask(self, asked: object) -> int:
        """Returns the server's answer to a line."""
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the server."""
        self._process.stdin.close()
        self._process.wait(10)
