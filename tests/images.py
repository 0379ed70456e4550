"""Builds the Dockerfile's stages without an engine: each in a copy-on-write copy of this machine's file system.

`python -m tests.images TARGET [NAME=VALUE …] [-- ARGUMENT …]` as root: runs every RUN step in order in its own root,
from which this checkout cannot be seen but for what COPY brings, then the image's command with these arguments.
What it cannot show: the base image itself (this machine's Python and libraries stand in for it), and how layers are
kept.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass
class Stage:
    """A stage of a Dockerfile: its steps as (word, rest of the line)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """What a stage became: a file system and settings."""

    layer: Path
    environment: dict[str, str]
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def parse(text: str) -> tuple[dict[str, str], list[Stage]]:
    """Returns the build arguments before the first stage, and the stages."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name.strip(), base.strip()))
        elif word == "ARG" and not stages:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word:
            stages[-1].steps.append((word, rest.strip()))
    return arguments, stages


def context() -> list[Path]:
    """Returns the files that .dockerignore lets through, of those that git knows or would add."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    return [Path(name) for name in names if (ROOT / name).is_file() and not _ignored(name, rules)]


def _ignored(name: str, rules: list[str]) -> bool:
    ignored = False
    parents = [str(parent) for parent in [Path(name), *Path(name).parents]][:-1]
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        if any(fnmatch.fnmatch(part if "**/" not in rule else Path(part).name, pattern) for part in parents):
            ignored = not rule.startswith("!")
    return ignored


class Builder:
    """Builds stages into folders below `scratch`."""

    def __init__(self, scratch: Path, arguments: dict[str, str]) -> None:
        given, stages = parse((ROOT / "Dockerfile").read_text())
        self._scratch = scratch
        self._arguments = given | arguments
        self._stages = {stage.name: stage for stage in stages}
        self._images: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """Returns the image of a stage, its steps done."""
        if name in self._images:
            return self._images[name]
        stage = self._stages[name]
        if stage.base in self._stages:
            below = self.build(stage.base)
            # One layer over this machine's root is all that can be mounted.
            assert not {word for word, _ in stage.steps} & {"RUN", "COPY"}, "a stage on a stage is for settings alone"
            image = Image(below.layer, dict(below.environment), below.workdir, below.user)
        else:
            # The way to packages is the machine's own, as an engine's proxy and certificates are.
            ours = re.compile(r"PATH|PIP_.*|UV_.*|SSL_CERT_\w+|\w*_PROXY", re.IGNORECASE)
            kept = {key: value for key, value in os.environ.items() if ours.fullmatch(key)}
            image = Image(self._scratch / name, {"HOME": "/root", **kept})
        if stage.base not in self._stages:
            image.layer.mkdir(parents=True)
            # This machine's Python may lie in the home of root.
            self.run(image, ["chmod", "o+x", "/root"])
        arguments: dict[str, str] = {}
        for word, rest in stage.steps:
            getattr(self, f"_do_{word.lower()}")(image, rest, arguments)
        self._images[name] = image
        return image

    def _do_arg(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        name, _, value = rest.partition("=")
        arguments[name] = self._arguments.get(name, value)

    def _do_env(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            image.environment[name] = re.sub(r"\$(\w+)", lambda m: image.environment.get(m[1], ""), value)

    def _do_workdir(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        image.workdir = rest
        self.run(image, ["mkdir", "-p", rest], user="0:0", workdir="/")

    def _do_user(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        image.user = rest

    def _do_volume(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        self.run(image, ["test", "-d", rest])

    def _do_expose(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        """Says which port; nothing is done."""

    def _do_healthcheck(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        image.healthcheck = json.loads(rest.partition("CMD ")[2])

    def _do_entrypoint(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        image.entrypoint = json.loads(rest)

    def _do_cmd(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        image.command = json.loads(rest)

    def _do_run(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        print(f"RUN {rest}", file=sys.stderr, flush=True)
        while rest.startswith("--mount="):
            options, _, rest = rest.partition(" ")
            target = dict(part.split("=", 1) for part in options.removeprefix("--mount=").split(","))["target"]
            self.run(image, ["mkdir", "-p", target], user="0:0")
            rest = rest.strip()
        self.run(image, ["/bin/sh", "-c", rest], environment=arguments)

    def _do_copy(self, image: Image, rest: str, arguments: dict[str, str]) -> None:
        *sources, target = rest.split()
        stage = None
        if sources[0].startswith("--from="):
            stage = self.build(sources.pop(0).removeprefix("--from="))
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            # It becomes the target.
            Path(folder).chmod(0o755)
            for source in sources:
                if stage is not None:
                    self._put(stage.layer / source.strip("/"), image, target)
                    continue
                found = [file for file in context() if file == Path(source) or Path(source) in file.parents]
                assert found, f"COPY {source}: nothing in the build context"
                for file in found:
                    place = Path(folder) / (file.relative_to(source) if file != Path(source) else file.name)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / file, place)
            if stage is None:
                self._put(Path(folder), image, target)

    def _put(self, source: Path, image: Image, target: str) -> None:
        place = image.layer / (Path(image.workdir) / target).as_posix().strip("/")
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", f"{source}/.", place], check=True)

    def run(
        self,
        image: Image,
        line: list[str],
        user: str | None = None,
        workdir: str | None = None,
        environment: dict[str, str] | None = None,
        timeout: float = 900,
    ) -> None:
        """Runs a command in an image, as its user; what it writes stays in the image's last layer.

        Raises:
          subprocess.CalledProcessError: it failed.
        """
        uid, gid = (user or image.user).split(":")
        with self._mounted(image) as script:
            inside = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--", *line]
            command = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", script, "bash"]
            subprocess.run(
                [*command, workdir or image.workdir, *inside],
                env={**image.environment, **(environment or {})}, check=True, timeout=timeout, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @contextlib.contextmanager
    def _mounted(self, image: Image) -> Iterator[str]:
        """Yields a shell script that mounts the layers over this machine's root and runs its arguments there."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            work, merged = Path(folder) / "work", Path(folder) / "merged"
            work.mkdir()
            merged.mkdir()
            yield (
                f"mount -t overlay overlay -o lowerdir=/,upperdir={image.layer},workdir={work} {merged}\n"
                # The checkout is no part of an image.
                f"mkdir -p {merged}{ROOT}; mount -t tmpfs tmpfs {merged}{ROOT}\n"
                f"mount --rbind /proc {merged}/proc; mount --rbind /dev {merged}/dev\n"
                f"mount -t tmpfs tmpfs {merged}/tmp\n"
                "workdir=$1; shift\n"
                f'exec chroot {merged} /bin/sh -c \'cd "$0" && exec "$@"\' "$workdir" "$@"\n'
            )


def main(arguments: list[str]) -> None:
    """The command."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    target, *pairs = arguments[:split]
    with tempfile.TemporaryDirectory(prefix="butterflyer-image-", dir="/var/tmp") as scratch:
        builder = Builder(Path(scratch), dict(pair.split("=", 1) for pair in pairs))
        image = builder.build(target)
        builder.run(image, [*image.entrypoint, *(arguments[split + 1 :] or image.command)])


if __name__ == "__main__":
    main(sys.argv[1:])
