"""Workers of a test run share engines: each is started once, and what goes wrong is raised where it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.config.errors import RunBusError
from tests.support.engines import Engines
from tests.support.sharing import SharedEngines, ask
from tests.support.spreading import group
from tests.support.unavailable import Unavailable


class Pretended(Engines):
    """Engines that only have addresses."""

    def __init__(self) -> None:
        super().__init__(Path)
        self.started: list[str] = []
        self.stopped = False

    def address(self, name: str) -> str:
        """Return an address, or fail as the name says."""
        errors = {"away": Unavailable("no container engine"), "broken": RunBusError("no Java"), "odd": KeyError("odd")}
        if name in errors:
            raise errors[name]
        self.started.append(name)
        return f"{name}:1"

    def stop(self) -> None:
        """Note it."""
        self.stopped = True


@pytest.fixture
def engines() -> Iterator[tuple[Pretended, SharedEngines]]:
    """Yield engines, and what shares them."""
    pretended = Pretended()
    shared = SharedEngines(pretended)
    yield pretended, shared
    shared.stop()
    assert pretended.stopped


def test_a_worker_gets_the_address(engines: tuple[Pretended, SharedEngines]) -> None:
    """It asks the controller, which asks its engines."""
    pretended, shared = engines
    assert [ask(shared.door, "kafka"), ask(shared.door, "clickhouse")] == ["kafka:1", "clickhouse:1"]
    assert pretended.started == ["kafka", "clickhouse"]


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("away", Unavailable, "no container engine"),
        ("broken", RunBusError, "no Java"),
        ("odd", RuntimeError, "odd did not start"),
    ],
)
def test_what_goes_wrong_is_raised_in_the_worker(
    engines: tuple[Pretended, SharedEngines], name: str, error: type[Exception], text: str
) -> None:
    """And the next question is answered."""
    _, shared = engines
    with pytest.raises(error, match=text):
        ask(shared.door, name)
    assert ask(shared.door, "kafka") == "kafka:1"


def test_a_stranger_stops_nothing(engines: tuple[Pretended, SharedEngines]) -> None:
    """Who does not have the key gets nothing, and who has it gets an answer afterwards."""
    _, shared = engines
    path, key = shared.door
    with pytest.raises(Exception, match=r"digest|EOF|Authentication"):
        ask((path, key[::-1] + "x"), "kafka")
    assert ask(shared.door, "kafka") == "kafka:1"


@pytest.mark.parametrize(
    ("test", "together"),
    [
        ("tests/unit/test_bus.py::test_a", "tests/unit/test_bus.py"),
        ("tests/integration/sink/test_sink_faults.py::test_a", "tests/integration/sink/test_sink_faults.py::test_a"),
        ("tests/integration/sink/test_sink_bad_engine.py::test_a", "tests/integration/sink/test_sink_bad_engine.py"),
        ("tests/integration/security/test_security_acls.py::test_a", "security"),
    ],
)
def test_what_shares_a_fixture_stays_on_one_worker(test: str, together: str) -> None:
    """A module, a folder with a broker of its own, or nothing but the test."""
    assert group(test) == together
