"""A container engine for the tests: the one that answers, or a dockerd of their own; and a base image made from Debian.

No image can be pulled where these tests must run, so the base comes from mmdebstrap. The engine that they start keeps
its data in .venv-deploy, so that a second run builds little; `make clean` removes it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbus.local.process import ProgramSpec, running
from tests.deploy.conftest import ROOT
from tests.deploy.running import Ran, ok, run

BASE = "runbus-test/base:bookworm"
IMAGE = "runbus-test/runbus:dev"
_STATE = ROOT / ".venv-deploy" / "docker"


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine: how clients reach it, and its client. Debian's has BuildKit inside, and needs no plug-in."""

    environ: dict[str, str]
    client: str

    def docker(self, *arguments: str, seconds: float = 120) -> Ran:
        """Run the client."""
        return run(self.client, *arguments, environ=self.environ, seconds=seconds)

    def answers(self) -> bool:
        """Tell whether the engine does."""
        return self.docker("info", "--format", "{{.ServerVersion}}").code == 0

    def make(self, *arguments: str, seconds: float, **environ: str) -> Ran:
        """Run a target of the Makefile against this engine, as from a shell: not with what an outer make was given."""
        command = ("make", "--no-print-directory", f"DOCKER={self.client}", *arguments)
        environ = {**self.environ, **environ}
        return run(*command, cwd=ROOT, environ=environ, without=of_make(), seconds=seconds)


def of_make() -> set[str]:
    """Return the variables by which a make hands its options on: its own, and those of its command line."""
    _, _, given = os.environ.get("MAKEFLAGS", "").partition("-- ")
    overridden = {word.partition("=")[0].rstrip(":+?!") for word in re.split(r"(?<!\\) ", given)}
    return {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", *overridden}


@contextmanager
def engine() -> Iterator[Engine]:
    """Yield an engine that answers; stop it afterwards if it was started here."""
    client = next((c for c in ("/usr/bin/docker", shutil.which("docker") or "") if Path(c).is_file()), "")
    if not client:
        pytest.fail("docker is not there: apt-get install docker.io runc mmdebstrap")
    there = Engine({}, client)
    if there.answers():
        yield there
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.fail("no container engine answers: start one, or run this as root with docker.io and runc installed")
    # A socket's path is short; the folder of the checkout may not be.
    with tempfile.TemporaryDirectory(prefix="rb-") as folder, _dockerd(Path(folder)) as host:
        yield Engine({"DOCKER_HOST": host}, client)


@contextmanager
def _dockerd(folder: Path) -> Iterator[str]:
    host = f"unix://{folder}/docker.sock"
    places = (f"--data-root={_STATE}", f"--exec-root={folder}/exec", f"--pidfile={folder}/docker.pid", f"--host={host}")
    service = ProgramSpec(
        name="dockerd",
        # Without packet filters: a sandbox may have none, and containers of one network need none.
        argv=("dockerd", "--iptables=false", "--ip6tables=false", *places),
        probe=lambda: run("docker", "version", environ={"DOCKER_HOST": host}).code == 0,
        cwd=folder,
        address=host,
        start_seconds=60,
        stop_seconds=60,
    )
    with running(service, folder / "dockerd.log"):
        yield host


def base_image(engine: Engine) -> None:
    """Import a Debian with Python and tini, unless the engine has it."""
    if engine.docker("image", "inspect", BASE).code == 0:
        return
    if shutil.which("mmdebstrap") is None:
        pytest.fail("mmdebstrap is not there: apt-get install mmdebstrap")
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/base.tar"
        options = (
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates,tini",
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
            # Where the engines of compose.override.yaml keep their data; a new volume takes over owner and mode.
            '--customize-hook=install -d -m 1777 "$1/data" "$1/prometheus"',
        )
        ok(run("mmdebstrap", *options, "bookworm", archive, seconds=900))
        path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ok(engine.docker("import", "--change", path, archive, BASE, seconds=300))


def build_arguments() -> str:
    """Return what `docker build` needs here: the host's network, as a bridge without packet filters leads nowhere."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    return "--network=host" + (f" --secret id=ca,src={bundle}" if bundle else "")
