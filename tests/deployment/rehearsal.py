"""Runs the steps of the Dockerfile where there is no Docker engine: in folders that begin as a Debian of their own.

    python -m tests.deployment.rehearsal /var/tmp/images head mlflow        # as root; needs debootstrap

The Dockerfile itself is read, so that what is rehearsed is what is built. Each stage is a folder below the one that is
named; a stage that another begins from, or copies from, is made before it, and once. It is no replacement of a build:
nothing is cached between runs, and no image comes out.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
BASE = re.compile(r"debian:(?P<release>\w+)-slim")
INSTRUCTIONS = ("RUN", "COPY", "ENV", "USER", "WORKDIR")
LAST_WORDS = ("EXPOSE", "VOLUME", "CMD")  # say how a container runs, and change nothing in the image
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# How this machine reaches packages; what names its own files would name nothing in the stage.
REACHING = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "http_proxy", "https_proxy")
# What a program finds in a container. All of it goes with the process, however that ends.
AROUND = """
set -e
root=$1 user=$2 certificates=$3; shift 3
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
cp "$certificates" "$root/run/certificates.crt"
exec /usr/sbin/chroot --userspec="$user" "$root" "$@"
"""

Step = tuple[str, str]


@dataclass
class Stage:
    """A stage as far as it is made: where its files are, and what its later steps run with."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    workdir: str = "/"

    def inside(self, path: str) -> Path:
        """Where a path of the stage is on this machine."""
        return self.folder / str(Path(self.workdir) / path).lstrip("/")

    def run(self, command: str) -> None:
        """Run a shell's command as the stage's user.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        certificates = os.environ.get("SSL_CERT_FILE") or str(CERTIFICATES)
        within = ["/bin/sh", "-c", f"cd {shlex.quote(self.workdir)} && {command}"]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", AROUND, "sh"]
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        subprocess.run(
            [*enter, str(self.folder), self.user, certificates, *within],
            env=_reaching() | self.environment | {"HOME": home},
            check=True,
        )


class Rehearsal:
    """Stages of one Dockerfile, below a folder."""

    def __init__(self, folder: Path, dockerfile: Path = DOCKERFILE, context: Path = ROOT) -> None:
        self._folder = folder
        self._context = context
        self._plan = read_stages(dockerfile)
        self._made: dict[str, Stage] = {}

    def make(self, name: str) -> Stage:
        """Run the steps of a stage, after those of the stages that it needs.

        Raises:
            ValueError: no such stage, or a step that this script does not know.
            subprocess.CalledProcessError: a step failed.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Stage:
        if base := BASE.fullmatch(name):
            return self._debian(base["release"])
        if name not in self._plan:
            raise ValueError(f"There is no stage {name!r}; choose from: {', '.join(self._plan)}.")
        start, steps = self._plan[name]
        before = self.make(start)
        stage = Stage(self._folder / name, dict(before.environment), before.user, before.workdir)
        subprocess.run(["cp", "--archive", "--no-target-directory", before.folder, stage.folder], check=True)
        for instruction, value in steps:
            print(f"{name}: {instruction} {value}", flush=True)
            self._take(stage, instruction, value)
        return stage

    def _take(self, stage: Stage, instruction: str, value: str) -> None:
        if instruction == "RUN":
            stage.run(value)
        elif instruction == "COPY":
            self._copy(stage, shlex.split(value))
        elif instruction == "ENV":
            stage.environment |= dict(word.split("=", 1) for word in shlex.split(value))
        elif instruction == "USER":
            stage.user = value
        elif instruction == "WORKDIR":
            stage.workdir = value
            stage.inside(value).mkdir(parents=True, exist_ok=True)
        elif instruction not in LAST_WORDS:
            raise ValueError(f"The instruction {instruction} is not rehearsed; known are: {', '.join(INSTRUCTIONS)}.")

    def _copy(self, stage: Stage, words: list[str]) -> None:
        """Copy from the context, or from another stage; of a folder its content, as Docker does."""
        source, ignored = self._context, shutil.ignore_patterns("__pycache__")  # as .dockerignore has it
        if words[0].startswith("--from="):
            source, ignored = self.make(words.pop(0).removeprefix("--from=")).folder, None
        *paths, target = words
        for path in paths:
            found, place = source / path.lstrip("/"), stage.inside(target)
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                place = place / found.name if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, place)

    def _debian(self, release: str) -> Stage:
        folder = self._folder / f"debian-{release}"
        subprocess.run(["debootstrap", "--variant=minbase", release, str(folder)], check=True)
        shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
        return Stage(folder)


def read_stages(dockerfile: Path) -> dict[str, tuple[str, list[Step]]]:
    """Read what each stage begins from, and its steps."""
    found: dict[str, tuple[str, list[Step]]] = {}
    steps: list[Step] = []
    with dockerfile.open("rb") as file:
        for step in DockerfileParser(fileobj=file).structure:
            instruction, value = step["instruction"], step["value"]
            if instruction == "FROM":
                start, _, name = value.split()
                steps = []
                found[name] = (start, steps)
            elif instruction != "COMMENT":
                steps.append((instruction, value))
    return found


def _reaching() -> Mapping[str, str]:
    certificates = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), "/run/certificates.crt")
    known = {name: os.environ[name] for name in REACHING if name in os.environ}
    return known | certificates | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the stages that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the stages; some gigabytes")
    parser.add_argument("stages", nargs="+", help="of the Dockerfile")
    asked = parser.parse_args(arguments)
    rehearsal = Rehearsal(asked.folder.absolute())
    for name in asked.stages:
        rehearsal.make(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
