"""Shims of frameworks too large for every run of the tests, against the real ones: where a Python has them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runbus import recorder
from runbus.schemas import avsc

ROOT = Path(__file__).parents[3]
#: a Python that has stable-baselines3, transformers, accelerate, confluent-kafka and fastavro: `make test-frameworks`
PYTHON = os.environ.get("RUNBUS_TEST_FRAMEWORKS", "")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PYTHON, reason="PyTorch is 5 GB: `make test-frameworks` installs it and runs this"),
]


@pytest.mark.parametrize("framework", ["sb3", "transformers"])
def test_what_a_training_logs_is_recorded(framework: str, tmp_path: Path) -> None:
    """The framework's own log is the judge: every value, at its step, and nothing else."""
    sources = [Path(str(package.__file__)).parents[2] for package in (recorder, avsc)]
    done = subprocess.run(
        [PYTHON, "-m", "tests.integration.shims.frameworks", framework, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *sources]))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["the same"]), done.stderr[-3000:]
