"""The tests of deploy/: `make test-deploy` runs all, `make test-deploy-static` those without a container engine.

They are apart from `make test`, which needs nothing but Python. Once asked for, a tool that is missing is a failure.
"""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-deploy" / "bin"
CHART = ROOT / "deploy" / "helm" / "runbus"

_IGNORED = {"": ["*"], "static": ["containers"], "all": []}
collect_ignore_glob = [f"{ROOT}/tests/deploy/{name}" for name in _IGNORED[os.environ.get("RUNBUS_TEST_DEPLOY", "")]]


@pytest.fixture(scope="session")
def tools() -> Path:
    """Return the folder of helm, kubectl, kubeconform, helm-unittest, helm-docs, psslevel, hadolint, docker-compose."""
    if not (TOOLS / "helm").is_file():
        pytest.fail("helm is not there: `make test-deploy-static` gets it and the others")
    return TOOLS


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return promtool of Debian."""
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is not there: apt-get install prometheus")
    return found
