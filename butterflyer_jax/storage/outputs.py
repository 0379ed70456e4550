"""Checks of the places of results, before the work that makes them; local or gs://."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from butterflyer_jax.errors import UserError
from butterflyer_jax.storage import files
from butterflyer_jax.storage.errors import access
from butterflyer_jax.storage.paths import is_remote, path

Name = str | os.PathLike[str]
# Where the mark of a file is looked for, bytes from its start.
_HEAD = 4096


def check_folder(name: Name) -> None:
    """Checks that files can be written into a folder, which need not exist yet; nothing is left there.

    Raises:
      UserError: a file is in the way, a permission is missing, no folder can be made there, or there is no such bucket.
    """
    if is_remote(name):
        files.exists(name)
        return
    folder = Path(path(name)).absolute()
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    with access(name, "write"):
        # For names that are too long.
        with contextlib.suppress(FileNotFoundError):
            folder.lstat()
        try:
            # Permissions alone do not say: of some file systems the administrator has all of them.
            Path(tempfile.mkdtemp(prefix=".butterflyer-", dir=there)).rmdir()
        except FileNotFoundError as error:
            reason = f"nothing can be made in {there}; take another place"
            raise UserError(f"cannot write {os.fspath(name)}: {reason}") from error


def check_file(name: Name, mark: bytes, option: str) -> None:
    """Checks that a file can be written, and that it replaces none but an earlier one of its kind.

    Args:
      name: file that will be written.
      mark: bytes among the first of each such file.
      option: option that names the file, for the message.

    Raises:
      UserError: there is another file or a folder, or as `check_folder` of the folder that it is in.
    """
    target = path(name)
    check_folder(target.parent)
    if not files.exists(target):
        with access(target, "write"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if not is_remote(target):
                Path(target).lstat()
        return
    if files.is_folder(target):
        raise UserError(f"cannot write {target}: a folder is in the way; take another {option}")
    head = files.read_range(target, 0, _HEAD)
    if head and mark not in head:
        raise UserError(f"{target} exists, and was not written by this command; take another {option}")
