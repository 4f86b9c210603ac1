"""Carries out a Dockerfile where there is no Docker: in an overlay over this machine's own file system.

What differs from a real build is the base, for which this machine stands with its Python, and that a `COPY` knows only
the forms that our Dockerfile uses. `RUN` runs in a chroot, with the Dockerfile's own text. Needs root."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dockerfile_parse import DockerfileParser

__all__ = ["Image", "build_image", "instructions"]

_STEP_SECONDS = 900
# An upper layer must not lie within the lower one, which is all of `/`, so it is in memory.
_MEMORY = Path("/dev/shm")

# $1 the layer, $2 the volume or nothing, $3 user:group, $4 the directory, then the command.
_ENTER = """
set -e
layer=$1 volume=$2 user=$3 directory=$4; shift 4
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
mount -t proc proc "$layer/root/proc"
mount --rbind /dev "$layer/root/dev"
if [ -n "$volume" ]; then
  mount --bind "$volume" "$layer/root/var/lib/tokenweir"
  mount -o remount,ro "$layer/root"
fi
exec chroot --userspec="$user" "$layer/root" env --chdir="$directory" "$@"
"""


@dataclass
class Image:
    """What a build has come to: a layer of files, and how a container of it is started."""

    layer: Path
    env: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def enter(self, command: Sequence[str], env: dict[str, str], *, volume: Path | None = None) -> list[str]:
        """A command line that runs ``command`` in a container, as process 1, with ``env`` and no other variables. With
        a volume everything but the volume is read only, and the user is the image's."""
        user = self.user if volume else "0:0"
        places = [str(self.layer), str(volume or ""), user, self.directory]
        variables = [f"{name}={value}" for name, value in env.items()]
        return [
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
            *("sh", "-c", _ENTER, "sh", *places, "-i", *variables, *command),
        ]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Each instruction with its text, continued lines joined, comments left out."""
    with dockerfile.open("rb") as file:
        parsed = DockerfileParser(fileobj=file).structure
    return [(step["instruction"], step["value"]) for step in parsed if step["instruction"] != "COMMENT"]


@contextmanager
def build_image(context: Path) -> Iterator[Image]:
    """The image of ``context``'s Dockerfile, for the length of the block."""
    if os.geteuid() != 0 or not _MEMORY.is_dir() or shutil.which("unshare") is None:
        pytest.skip("SKIPPED LOUDLY: a Dockerfile is carried out by root on Linux only, with overlays in /dev/shm")
    with TemporaryDirectory(dir=_MEMORY) as folder:
        stages: dict[str, Image] = {}
        given: dict[str, str] = {}
        image = Image(Path(folder))
        for instruction, text in instructions(context / "Dockerfile"):
            if instruction == "FROM":
                image = _begin(Path(folder) / str(len(stages)), given)
                stages[text.rpartition(" AS ")[2]] = image
            else:
                _carry_out(instruction, text, image, stages, context, given)
        yield image


def _begin(layer: Path, given: dict[str, str]) -> Image:
    for name in ("upper", "work", "root"):
        (layer / name).mkdir(parents=True)
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    image = Image(layer, env={"PATH": f"{python.parent}:/usr/bin:/bin"}, arguments=dict(given))
    # This machine's Python may live in root's home, and know itself by its version only.
    ways = shlex.join(str(way) for way in python.parents if way != Path("/"))
    _run(image, ["/bin/sh", "-c", f"chmod a+rx {ways} && ln -sf {python.name} {python.parent}/python"])
    return image


def _carry_out(
    instruction: str, text: str, image: Image, stages: dict[str, Image], context: Path, given: dict[str, str]
) -> None:
    match instruction:
        case "ARG":
            name, _, value = text.partition("=")
            (image.arguments if stages else given)[name] = value
        case "ENV":
            for name, _, value in (each.partition("=") for each in shlex.split(text)):
                image.env[name] = value.replace("$PATH", image.env["PATH"])
        case "WORKDIR":
            image.directory = text
            (image.layer / "upper" / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(text.split(), image, stages, context)
        case "RUN":
            _run(image, json.loads(text) if text.startswith("[") else ["/bin/sh", "-c", text])
        case "USER":
            image.user = text
        case "ENTRYPOINT":
            image.entrypoint = json.loads(text)
        case "CMD":
            image.command = json.loads(text)
        case "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL":
            pass
        case _:
            raise AssertionError(f"{instruction} is not understood here")


def _copy(words: list[str], image: Image, stages: dict[str, Image], context: Path) -> None:
    *origins, target = words
    start = context
    if origins[0].startswith("--from="):
        start = stages[origins.pop(0).removeprefix("--from=")].layer / "upper"
    place = Path(os.path.normpath(os.path.join(image.directory, target)))
    for origin in origins:
        source, end = start / origin.lstrip("/"), image.layer / "upper" / str(place).lstrip("/")
        if source.is_dir():
            shutil.copytree(source, end, symlinks=True)
        else:
            end.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, end)


def _run(image: Image, command: list[str]) -> None:
    # How this machine reaches a package index is not the Dockerfile's business.
    machine = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    entered = image.enter(command, {**machine, **image.arguments, **image.env})
    ran = subprocess.run(entered, capture_output=True, text=True, timeout=_STEP_SECONDS, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, f"{shlex.join(command)}\n{ran.stdout[-2000:]}\n{ran.stderr[-3000:]}"
