"""The exporter: writes a run's best checkpoint for another runtime, reads it back there and compares."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from butterflyer_jax import extras
from butterflyer_jax.config import ExportConfig
from butterflyer_jax.config.fields import choices
from butterflyer_jax.errors import UserError
from butterflyer_jax.export.places import CARD, CARD_TEXT, FOLDER, SPECIES, SUFFIXES, companion
from butterflyer_jax.storage import files as files_lib
from butterflyer_jax.storage import find, outputs, paths

if TYPE_CHECKING:
    from etils import epath

    from butterflyer_jax import runs
    from butterflyer_jax.export.keras import WriterProcess
    from butterflyer_jax.export.runtime_process import RuntimeProcess

FORMATS = tuple(name for name in choices(ExportConfig, "format") if name != "none")
# Formats in int8, whose ranges are chosen on training photos.
CALIBRATED = ("litert_int8",)


@dataclass(frozen=True)
class Written:
    """An exported model.

    Attributes:
      path: exported file, or folder for SavedModel.
      card: content of its card.json.
    """

    path: str
    # Longer than a screen.
    card: dict[str, Any] = field(repr=False)

    @property
    def summary(self) -> str:
        """One line with the path and the largest difference from the run's answers."""
        check = self.card["check"]
        return (
            f"{self.path}, {self.card['bytes'] / 1e6:,.1f} MB; {check['runtime']} differs by at most "
            f"{check['largest_difference']:.1e} on {check['photographs']} {check['of']}"
        )


@dataclass(frozen=True)
class Processes:
    """Processes of an export, which import what it needs while other work is done.

    Attributes:
      reader: reads the export back.
      writer: writes it; None of formats that this process writes.
    """

    reader: RuntimeProcess
    writer: WriterProcess | None

    def close(self) -> None:
        """Ends the processes."""
        self.reader.close()
        if self.writer:
            self.writer.close()


def export(
    run: str | os.PathLike[str] | runs.LoadedModel,
    format: str = "keras",
    to: str | os.PathLike[str] | None = None,
    python: str = sys.executable,
    data: Any = None,
    processes: Processes | None = None,
) -> Written:
    """Writes a run's best checkpoint for another runtime, with species names and a card beside it.

    The export is read back in a process of its own, by its runtime alone, and its probabilities are compared with the
    run's on images of its data set (on noise if that is missing). It takes its final name only after that.

    Args:
      run: folder of a run with a checkpoint, or its loaded model.
      format: keras, savedmodel, onnx, stablehlo, safetensors, litert or litert_int8.
      to: file to write (for SavedModel, the folder), local or gs://; a name without the format's suffix is a folder for
        `model.<suffix>`. By default `export/` in the run folder.
      python: interpreter that reads the export back; it needs NumPy, Pillow and the format's runtime, not
        this package.
      data: open data set of the run, if the caller has it.
      processes: what `start` returned, if the caller has started them before; else they are started here.

    Raises:
      UserError: the run, the format or the runtime does not exist; the target holds something else, or its bucket
        cannot be written; or the answers differ.
    """
    from butterflyer_jax import runs

    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}: take one of {', '.join(FORMATS)}")
    writer = writer_of(format)
    opened = run.run if isinstance(run, runs.LoadedModel) else runs.read(run)
    target = _target(default_path(opened, format) if to is None else paths.path(to), writer)
    _refuse(target)
    extras.require("export", *writer.NEEDS, purpose=f"format {format}")

    from butterflyer_jax.export import card, reference, verify

    with contextlib.ExitStack() as stack:
        if processes is None:
            processes = stack.enter_context(contextlib.closing(start(format, python)))
        loaded = run if isinstance(run, runs.LoadedModel) else runs.load_model(opened)
        loaded.report_missing()
        network = reference.network_of(loaded)
        folder = stack.enter_context(_room(target))
        path = folder / target.name
        if format in CALIBRATED:
            writer.write(network, path, verify.choose_calibration(opened, data))
        elif processes.writer:
            processes.writer.write(network, path)
        else:
            writer.write(network, path)
        # Read by the code that is checked.
        species = "".join(f"{name}\n" for name in network.species)
        companion(path, SPECIES).write_text(species, encoding="utf-8")
        checked = verify.check(opened, network, writer, path, processes.reader, data)
        about = card.describe(loaded, network, format, path, target.name, writer, checked)
        card.write(about, companion(path, CARD), companion(path, CARD_TEXT))
        _publish(folder, target)
    return Written(os.fspath(target), about)


def start(format: str, python: str = sys.executable) -> Processes:
    """Starts the processes of an export: they import the format's runtime while other work is done.

    Args:
      format: format of the export.
      python: interpreter of the process that reads it back.
    """
    from butterflyer_jax.export.runtime_process import RuntimeProcess

    writer = writer_of(format)
    # The reader is needed last.
    writes = writer.WriterProcess() if hasattr(writer, "WriterProcess") else None
    return Processes(RuntimeProcess(python, writer.RUNTIME), writes)


def writer_of(format: str) -> ModuleType:
    """Returns the module that writes a format."""
    return importlib.import_module(f"butterflyer_jax.export.{format}")


def default_path(run: runs.Run, format: str) -> epath.Path:
    """Returns the default path of a run's export."""
    return run.folder / FOLDER / writer_of(format).NAME


def _target(path: epath.Path, writer: ModuleType) -> epath.Path:
    suffix = Path(writer.NAME).suffix
    if path.suffix != suffix and path.suffix in SUFFIXES:
        raise UserError(f"--to {path} has the suffix of another format")
    return path if path.suffix == suffix or not suffix else path / writer.NAME


def _refuse(target: epath.Path) -> None:
    """Raises a UserError if something else than an earlier export is in the target's place, or nothing can be there."""
    outputs.check_folder(target.parent)
    if not files_lib.exists(target):
        return
    if not files_lib.is_folder(target):
        if target.suffix not in SUFFIXES:
            raise UserError(f"{target} is a file, not a folder of an export; take another --to")
        if not files_lib.exists(companion(target, CARD)):
            raise UserError(f"{target} exists, and no card beside it shows that it is an export; take another --to")
    elif find.glob(target, "*") and not files_lib.exists(companion(target, CARD)):
        raise UserError(f"{target} is not empty and holds no export; take another --to")


@contextlib.contextmanager
def _room(target: epath.Path) -> Iterator[Path]:
    """Yields a new local folder, on the target's own disk if the target is local."""
    if paths.is_remote(target):
        parent = None
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        parent = os.fspath(target.parent)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, target: epath.Path) -> None:
    """Moves the written files to the target; the model file comes last."""
    written = folder / target.name
    if written.is_dir() and not paths.is_remote(target):
        if target.exists():
            target.rename(folder / "old")
        written.replace(Path(target))
        return
    if written.is_dir():
        files = [(path, target / path.relative_to(written).as_posix()) for path in written.rglob("*") if path.is_file()]
        files.sort(key=lambda pair: pair[0].name == "saved_model.pb")
    else:
        files = [(path, target.parent / path.name) for path in folder.iterdir() if path != written]
        files.append((written, target))
    for source, goal in files:
        goal.parent.mkdir(parents=True, exist_ok=True)
        files_lib.move(source, goal)
