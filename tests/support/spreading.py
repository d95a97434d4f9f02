"""Spreads tests over the workers of pytest-xdist, and gives the workers one set of engines.

`make test` starts more workers than there are processors: most tests wait for a session, a lease or a process to end.
"""

from __future__ import annotations

import sys

import pytest

from runbus.local.child import die_with_parent
from tests.support.engines import Engines
from tests.support.sharing import SharedEngines

#: What takes longest comes first, so that no worker begins with it when the others are done; the rest fills the gaps.
ORDER = (
    "tests/integration/security/",
    "tests/e2e/",
    "tests/simulation/",
    "tests/integration/sink/",
    "tests/integration/streams/",
    "tests/integration/faust/",
    "tests/integration/recorder/",
    "tests/integration/cursors/",
    "tests/integration/reader/",
    "tests/integration/",
    "tests/fuzz/",
    "tests/docs/",
    "tests/unit/",
)
#: Who stays on one worker, by the beginning of the name; the first that fits counts. EACH = every test for itself, as
#: these are long and share nothing but the engines of the run; otherwise the tests of a module stay together.
EACH, MODULE = "each", "module"
GROUPS = {
    "tests/integration/security/": "security",  # its tests share a broker of their own, which one of them restarts
    "tests/integration/sink/test_sink_bad_": MODULE,
    "tests/integration/sink/": EACH,
    "tests/integration/streams/": EACH,
    "tests/integration/faust/": EACH,
    "tests/integration/recorder/": EACH,
    "tests/integration/cursors/": EACH,
    "tests/integration/reader/": EACH,
    "tests/integration/audit/": EACH,
    "tests/integration/dead_letters/": EACH,
    "tests/integration/replay/": "replay",  # its tests share a log, a sink and both apps
    "tests/integration/test_local_stack": EACH,
    # each trains four agents on all processors: two of them at once starve their brokers
    "tests/e2e/test_demo.py::test_a_million_": "four agents",
    "tests/e2e/test_demo.py::test_the_sink_killed_": "four agents",
    "tests/e2e/": EACH,
    "tests/": MODULE,
}
_shared = pytest.StashKey[SharedEngines]()


@pytest.hookimpl(trylast=True)  # the folders of the run are configured before
def pytest_configure(config: pytest.Config) -> None:
    """Get ready to start engines for workers; a worker ends with its controller, however that ends."""
    if hasattr(config, "workerinput"):
        if sys.platform == "linux":
            die_with_parent()
    elif config.getoption("dist", "no") != "no":
        factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined] # no test has it yet
        config.stash[_shared] = SharedEngines(Engines(factory.mktemp))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker where the controller answers."""
    shared = node.config.stash[_shared]  # type: ignore[attr-defined] # xdist's WorkerController
    node.workerinput["engines"] = shared.door  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the engines, however the run ended."""
    if _shared in config.stash:
        config.stash[_shared].stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    return next((rank for rank, folder in enumerate(ORDER) if nodeid.startswith(folder)), len(ORDER))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Return who says which worker runs what."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False  # the order is ours
    return ByGroup(config, log)


def group(nodeid: str) -> str:
    """Return what a test has in common with those that stay on its worker."""
    kind = next((kind for start, kind in GROUPS.items() if nodeid.startswith(start)), MODULE)
    return {EACH: nodeid, MODULE: nodeid.partition("::")[0]}.get(kind, kind)
