"""What can be seen of one running stack: its configuration, its processes, and what it refuses."""

import stat
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runbus.config.errors import RunBusError
from runbus.local.options import StackOptions
from runbus.local.stack import Endpoints, Plan, Stack, StackProcess
from tests.support.waiting import until

pytestmark = pytest.mark.integration

TICKER = StackProcess(
    "ticker", (sys.executable, "-c", "import os, time; print(os.environ['RUNBUS_CONFIG']); time.sleep(600)")
)
FAILING = StackProcess("failing", (sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"))


@dataclass(frozen=True)
class Shared:
    """A stack that all tests here share; `refused` is what a second command heard while it started."""

    stack: Stack
    endpoints: Endpoints
    refused: list[str]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Yield a stack with an app that works and one that ends at once, in a deep home; no test changes it."""
    home = tmp_path_factory.mktemp("shared") / ("deep" * 20) / ("er" * 20)
    stack, refused = Stack(home), list[str]()

    def second(_endpoints: Endpoints) -> None:
        with pytest.raises(RunBusError) as caught:
            Stack(stack.home).down()
        refused.append(str(caught.value))

    try:
        yield Shared(stack, stack.up(Plan([FAILING, TICKER], second)), refused)
    finally:
        stack.down()
    assert not stack.supervisor.socket.parent.exists()


def test_configuration_file_has_the_addresses_and_is_private(shared: Shared) -> None:
    """runbus.toml is what every command reads; it and the passwords are for this user only."""
    home, endpoints = shared.stack.home, shared.endpoints
    content = tomllib.loads((home / "runbus.toml").read_text())
    assert content["kafka"]["bootstrap_servers"] == endpoints.bootstrap_servers
    assert content["clickhouse"]["url"] == endpoints.clickhouse_url
    assert content["clickhouse"]["password"] == endpoints.password.reveal()
    for name in ("runbus.toml", "stack.json", "data/clickhouse/users.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    ticker = next(status for status in Stack(home).status().processes if status.process.name == "ticker")
    until("it writes", lambda: ticker.log.read_text() == f"{home / 'runbus.toml'}\n" or ticker.log.read_text() != "")


def test_two_commands_at_once_do_not_mix(shared: Shared) -> None:
    """While one command prepares the stack a second one is refused."""
    assert len(shared.refused) == 1
    assert "another runbus command" in shared.refused[0]


def test_app_that_fails_at_once_is_shown_in_status(shared: Shared) -> None:
    """An app that cannot run does not stop the others, and status tells its state."""
    stack = shared.stack

    def state(name: str) -> str:
        return next(s.process.state for s in stack.status().processes if s.process.name == name)

    until("it waits before it is started again", lambda: state("failing") == "BACKOFF")
    until("it runs", lambda: state("ticker") == "RUNNING")
    assert "no luck" in stack.supervisor.log_path("failing").read_text()


def test_registry_for_a_stack_that_runs_without_is_one_error(shared: Shared) -> None:
    """Its apps have read that there is none: the error says what to do, and the stack goes on as it was."""
    home = shared.stack.home
    text = (home / "runbus.toml").read_text()
    with pytest.raises(RunBusError, match="runs without a schema registry: run `runbus down` first"):
        Stack(home, StackOptions(registry=True)).up()
    assert (home / "runbus.toml").read_text() == text
    engines = {status.process.name: status.ready for status in Stack(home).status().processes}
    assert (engines["kafka"], engines["clickhouse"]) == (True, True)


def test_home_that_is_too_deep_for_a_socket_works(shared: Shared) -> None:
    """A Unix socket's address is short; a deep home gets its socket elsewhere, for this user only, until it is down."""
    folder = shared.stack.supervisor.socket.parent
    assert shared.stack.home not in folder.parents
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
