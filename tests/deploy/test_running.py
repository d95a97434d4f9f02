"""How these tests run tools: a make of their own, and what is shown of a command that failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.containers.engine import of_make
from tests.deploy.running import Ran, ok, run

#: Runs a target of the Makefile as the tests do, and shows what it would do.
INNER = """
from tests.deploy.containers.engine import Engine
print(Engine({}, "docker").make("--dry-run", "compose-down", "COMPOSE=compose", seconds=60).said)
"""


def test_the_options_of_an_outer_make_stay_outside(tmp_path: Path) -> None:
    """`make test-deploy ARGS=...` and its flags are for pytest; the make that a test runs has its own."""
    outer = tmp_path / "Makefile"
    outer.write_text('all:\n\t@"$$PYTHON" -c "$$INNER"\n', encoding="utf-8")
    given = ("--keep-going", "ARGS=--durations=15 -k ROOT=x", "COMPOSE=other")
    environ = {"PYTHON": sys.executable, "INNER": INNER, "PYTHONPATH": str(ROOT)}
    ran = run("make", "--file", outer, *given, cwd=ROOT, environ=environ, without=of_make())
    assert ok(ran).strip() == "compose --profile core --profile demo --profile obs down"


def test_the_first_failure_of_a_suite_is_shown() -> None:
    """However many follow: the first one says why, the last lines say how many."""
    failures = "\n".join(f"____ test_{n} ____\nE   reason {n}\n{'x' * 500}" for n in range(100))
    said = f"{'.' * 9000}\n==== ERRORS ====\n{failures}\n==== 2 passed, 100 errors ====\n"
    with pytest.raises(AssertionError) as caught:
        ok(Ran(1, said, ""))
    shown = str(caught.value)
    assert shown.startswith("==== ERRORS ====\n____ test_0 ____\nE   reason 0")
    assert "2 passed, 100 errors" in shown
    assert len(shown) < 15_000
