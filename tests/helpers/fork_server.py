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
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

LIBRARIES = ("jax", "flax.linen", "optax", "orbax.checkpoint", "tensorflow", "tensorflow_datasets", "gcsfs")
# As `butterflyer_jax.cli` and `butterflyer_jax.storage.paths` set them before these are imported.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_USE_LEGACY_KERAS": "1", "EPATH_USE_TF": "0"}
# Variables that an interpreter or a library reads when it starts, which the server's have done.
READ_AT_START = ("JAX_", "PYTHON")
# JAX looks for devices when they are first asked for.
PLATFORMS = "JAX_PLATFORMS"


def serve() -> None:
    """Forks for each line of standard input: a module, arguments, environment, folder, and files for the output."""
    for name in LIBRARIES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork takes no other thread along"
    # Or each child looks at all of these objects, and copies their pages.
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        process_id = os.fork()
        if not process_id:
            become(**asked)
        print(process_id, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]), flush=True)


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


class ForkServer:
    """The server's process; one command at a time."""

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

    def run(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs a module to its end.

        Raises:
          subprocess.TimeoutExpired: it took longer, and was killed.
        """
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("stdout", "stderr")]
            for file in files:
                file.touch()
            asked = {"module": module, "arguments": arguments, "env": dict(env), "cwd": str(cwd)}
            print(json.dumps(asked | {"files": list(map(str, files))}), file=self._process.stdin, flush=True)
            process_id = int(self._process.stdout.readline())
            timer = threading.Timer(timeout, os.kill, (process_id, signal.SIGKILL))
            timer.start()
            code = int(self._process.stdout.readline())
            expired = not timer.is_alive()
            timer.cancel()
            out, err = (file.read_text() for file in files)
        line = ["python", "-m", module, *arguments]
        if expired:
            raise subprocess.TimeoutExpired(line, timeout, out, err)
        return subprocess.CompletedProcess(line, code, out, err)

    def close(self) -> None:
        """Ends the server."""
        self._process.stdin.close()
        self._process.wait(10)
