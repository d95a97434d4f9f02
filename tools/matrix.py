"""Runs the unit tests of the adapters against other versions of what they adapt: `make test-matrix`.

Each version has an environment of its own, which uv makes in seconds and keeps in its cache. What needs PyTorch or Ray
is in `make test-frameworks`, with the newest versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
#: what the recorder and the tests themselves need
COMMON = ["confluent-kafka", "fastavro", "hypothesis", "pytest", "pytest-timeout"]
GYMNASIUM = ["tests/unit/test_gymnasium_vector.py", "tests/unit/test_gymnasium_wrapper.py"]
PETTINGZOO = ["tests/unit/test_pettingzoo.py"]
#: what is installed -> the tests that it has to pass
MATRIX: list[tuple[list[str], list[str]]] = [
    *((["numpy>=2", f"gymnasium=={version}.*"], GYMNASIUM) for version in ("1.1", "1.2", "1.3", "1.4")),
    *((["pygame", f"pettingzoo=={version}.*"], PETTINGZOO) for version in ("1.24", "1.25", "1.26", "1.27")),
]


def main(arguments: list[str]) -> int:
    """Run all of them, `arguments` for pytest; return 1 if a test failed."""
    failed = []
    for packages, tests in MATRIX:
        name = packages[-1]
        print(f"== {name}", flush=True)
        options = [word for package in [*COMMON, *packages] for word in ("--with", package)]
        pytest = [
            "python",
            "-m",
            "pytest",
            "-q",
            "-m",
            "not long",
            "-c",
            "tests/frameworks/pytest.ini",
            *tests,
            *arguments,
        ]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(["producers", "schemas"])}
        python = ["--no-project", "--isolated", "--python", sys.executable]
        done = subprocess.run([str(UV), "run", "-q", *python, *options, *pytest], cwd=ROOT, env=environ, check=False)
        if done.returncode:
            failed.append(name)
    print(f"failed with {', '.join(failed)}" if failed else f"{len(MATRIX)} versions passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
