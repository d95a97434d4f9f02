"""Spreads tests over the workers of pytest-xdist, and gives the workers one set of engines.

`make test` starts more workers than there are processors: most tests wait for a session, a lease or a process to end.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.support.engines import Engines
from tests.support.sharing import SharedEngines

#: What takes longest comes first, so that no worker begins with it when the others are done; the rest fills the gaps.
ORDER = (
    "tests/integration/security",
    "tests/e2e",
    "tests/integration/sink",
    "tests/integration/streams",
    "tests/integration/recorder",
    "tests/integration",
    "tests/simulation",
    "tests/fuzz",
    "tests/docs",
    "tests/unit",
)
_shared = pytest.StashKey[SharedEngines]()
_folder = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Get ready to start engines for workers, if there are any."""
    if config.getoption("dist", "no") == "no" or hasattr(config, "workerinput"):
        return
    folder = config.stash[_folder] = tempfile.TemporaryDirectory(prefix="runbus-engines-")
    config.stash[_shared] = SharedEngines(Engines(lambda name: _made(Path(folder.name) / name)))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker where the controller answers."""
    shared = node.config.stash[_shared]  # type: ignore[attr-defined] # xdist's WorkerController
    node.workerinput["engines"] = shared.door  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the engines, however the run ended."""
    if _shared in config.stash:
        config.stash[_shared].stop()
        config.stash[_folder].cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, and keep together what shares a fixture of its module or folder."""
    items.sort(key=lambda item: _rank(item.nodeid))
    for item in items:
        group = _group(item)
        if group and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))


def _rank(nodeid: str) -> int:
    return next((rank for rank, folder in enumerate(ORDER) if nodeid.startswith(folder)), len(ORDER))


def _group(item: pytest.Item) -> str:
    """Return what a test has to stay with: its module, if it is short or shares a fixture; empty = nothing."""
    module = item.nodeid.partition("::")[0]
    if item.get_closest_marker("integration") is None and item.get_closest_marker("faults") is None:
        return module
    definitions = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined] # the only place that says it
    return module if any(found[-1].scope == "module" for found in definitions) else ""
