"""Shows what this installation can do: versions, devices, and which extras are missing and how to get them.

    butterflyer doctor

The exit code is 1 where the core does not work.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from butterflyer_jax import cli, cores, extras
from butterflyer_jax.storage import paths

GIB = 1 << 30
CORE = ""
VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow", "tensorflow-datasets")
RESIZER = "cykooz-resizer"


@dataclass(frozen=True)
class Part:
    """An extra of the installation, or its core.

    Attributes:
      name: of the extra, "" for the core.
      missing: requirements that are not installed, or in another version, as pyproject.toml states them.
    """

    name: str
    missing: tuple[str, ...]


def installed_parts() -> list[Part]:
    """Compares the installed packages with what this package's metadata requires on this platform.

    Returns:
      The core, then the extras in the order of `extras.PURPOSES`.
    """
    required = [Requirement(text) for text in metadata.requires(extras.DISTRIBUTION) or ()]
    parts = []
    for name in (CORE, *extras.PURPOSES):
        of_part = [one for one in required if _applies(one, name) and not (name and _applies(one, CORE))]
        parts.append(Part(name, tuple(sorted({problem for one in of_part if (problem := _problem(one))}))))
    return parts


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _problem(requirement: Requirement) -> str:
    """Returns what is wrong with the installed version of a requirement, nothing where it serves."""
    try:
        version = metadata.version(requirement.name)
        # The plugins of JAX are packages of their own: jax[cuda12] is there when they are.
        for extra in requirement.extras:
            for text in metadata.requires(requirement.name) or ():
                of_extra = Requirement(text)
                if of_extra.marker and _applies(of_extra, extra) and not _applies(of_extra, CORE):
                    metadata.version(of_extra.name)
    except metadata.PackageNotFoundError as error:
        return str(error.name or error)
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name}{requirement.specifier} (installed: {version})"
    return ""


def _devices() -> tuple[bool, str]:
    """Returns whether JAX starts, and what it computes on or why it does not."""
    try:
        import jax

        devices = jax.devices()
    except Exception as error:
        # A driver that does not fit, a plugin without its libraries: whatever it raises is the answer.
        reason = " ".join(str(error).split()) or type(error).__name__
        chosen = os.environ.get("JAX_PLATFORMS")
        return False, f"JAX does not start: {reason}" + (f" (JAX_PLATFORMS is {chosen}: unset it)" if chosen else "")
    kinds = sorted({device.device_kind for device in devices})
    return True, f"{len(devices)} x {', '.join(kinds)} ({devices[0].platform})"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _machine() -> Iterator[tuple[str, str]]:
    import psutil

    cache = Path(paths.cache_dir())
    existing = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    yield "python", f"{platform.python_version()} in {sys.prefix}"
    yield (
        "system",
        f"{platform.system()} {platform.machine()}, {cores.usable()} cores, {_memory(psutil.virtual_memory().total)}",
    )
    yield "cache", f"{cache} ({_memory(shutil.disk_usage(existing).free)} free)"
    yield "configs", ", ".join(cli.config_names()) or f"none in {cli.config_folder()}"


def _memory(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB"


def parser() -> cli.ArgumentParser:
    """Returns the parser of the command's flags."""
    return cli.ArgumentParser(prog="butterflyer doctor", description=__doc__)


def main(argv: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    parser().parse_args(argv)
    core, *others = installed_parts()
    starts, devices = _devices()
    rows = [
        ("butterflyer", _version(extras.DISTRIBUTION)),
        *_machine(),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in VERSIONS)),
        ("resizing", RESIZER if _version(RESIZER) != "missing" else f"Pillow, as {RESIZER} is not installed"),
        ("devices", devices),
        ("core", "complete" if not core.missing else f"broken, missing {', '.join(core.missing)}"),
    ]
    for label, value in rows:
        print(f"{label:<12} {value}")
    print("\nextras")
    width = max(map(len, extras.PURPOSES.values()))
    for part in others:
        state = "installed" if not part.missing else f"missing {', '.join(part.missing)}"
        print(f"  {part.name:<11} {extras.PURPOSES[part.name]:<{width}}  {state}")
        if part.missing:
            print(f"  {'':<11} {extras.install_command(part.name)}")
    if core.missing or not starts:
        sys.exit(1)


if __name__ == "__main__":
    cli.run(main)
