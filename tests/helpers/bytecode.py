"""Bytecode for a session of tests, where none may lie beside the sources."""

from __future__ import annotations

import contextlib
import sysconfig
from pathlib import Path


def link(prefix: str) -> None:
    """Has the bytecode of installed libraries lie where `sys.pycache_prefix` has it looked for.

    So none of their modules is compiled anew: 14 s of processor time in each of the processes that begin together.
    Without effect where it was not compiled when the libraries were installed, or lies on another disk.
    """
    with contextlib.suppress(OSError):
        for cache in Path(sysconfig.get_path("purelib")).rglob("__pycache__"):
            # Folders of a prefix have no __pycache__.
            target = Path(prefix + str(cache.parent))
            target.mkdir(parents=True, exist_ok=True)
            for file in cache.iterdir():
                (target / file.name).hardlink_to(file)
