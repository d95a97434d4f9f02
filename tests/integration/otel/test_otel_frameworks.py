"""Agents of real frameworks with their real instrumentations: where a Python has them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runbus import recorder
from runbus.schemas import avsc

ROOT = Path(__file__).parents[3]
#: a Python that has the frameworks and instrumentations of docs/otel.md: `make test-otel`
PYTHON = os.environ.get("RUNBUS_TEST_OTEL", "")
NAMES = [
    "openai_agents",
    "openai_agents_twice",
    "pydantic_ai",
    "pydantic_ai_2",
    "langgraph",
    "smolagents",
    "openai_client",
]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PYTHON, reason="a hundred packages: `make test-otel` installs them and runs this"),
]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_agent_did_is_recorded(name: str, tmp_path: Path) -> None:
    """The model's own ledger and the tool's are the judges: every call once, in one episode, with its content."""
    sources = [Path(str(package.__file__)).parents[2] for package in (recorder, avsc)]
    done = subprocess.run(
        [PYTHON, "-m", "tests.integration.otel.frameworks", name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *sources]))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["the same"]), done.stderr[-3000:]
