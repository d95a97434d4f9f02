"""The whole stack: up, down, status, restarts, crashes, two at once, and what a user can get wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.config.errors import RunBusError
from runbus.local.apps import APPS, prepare, sources, wait_for_apps
from runbus.local.options import StackOptions
from runbus.local.ports import free_port, is_free, listen
from runbus.local.process import ProgramSpec, running
from runbus.local.stack import Endpoints, Plan, Stack, StackProcess
from runbus.schemas.avsc import schema
from runbus.schemas.registry import registry
from tests.support.waiting import until

pytestmark = pytest.mark.integration

TICKER = StackProcess(
    "ticker", (sys.executable, "-c", "import os, time; print(os.environ['RUNBUS_CONFIG']); time.sleep(600)")
)

DUMP = (sys.executable, "-c", "import json, os, time; print(json.dumps(dict(os.environ)), flush=True); time.sleep(600)")
ELSEWHERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "CLICKHOUSE_URL": "http://127.0.0.1:1",
    "CLICKHOUSE_PASSWORD_FILE": "/none",
    "RUNBUS_TOPIC_PREFIX": "other.",
    "RUNBUS_SINK_GROUP": "x",
    "RUNBUS_CONFIG": "/none/runbus.toml",
}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Yield a home whose stack is stopped at the end, whatever the test did."""
    path = tmp_path / "home of a stack"
    yield path
    Stack(path).down()


def pids(stack: Stack) -> dict[str, int]:
    """Return the process id of everything that runs, supervisord included."""
    found = {status.process.name: status.process.pid for status in stack.status().processes if status.process.alive}
    return found | {"supervisord": stack.supervisor.pid() or 0}


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def nothing_lives(processes: dict[str, int]) -> bool:
    """Tell whether all of these ended."""
    return not any(is_alive(pid) for pid in processes.values())


def query(endpoints: Endpoints) -> Client:
    """Open a client for the owner."""
    return clickhouse_connect.get_client(
        dsn=endpoints.clickhouse_url, username=endpoints.user, password=endpoints.password.reveal()
    )


def test_data_ports_and_passwords_survive_a_restart(home: Path) -> None:
    """Down and up again: same addresses, same topic, same rows; between them nothing runs."""
    stack, prepared = Stack(home), list[Endpoints]()
    first = stack.up(Plan([TICKER], prepared.append))
    assert first.started == ("kafka", "clickhouse", "ticker")
    assert [e.bootstrap_servers for e in prepared] == [first.bootstrap_servers]
    admin = AdminClient({"bootstrap.servers": first.bootstrap_servers})
    admin.create_topics([NewTopic("kept", 3, 1)])["kept"].result(30)
    del admin  # it would go on looking for the broker
    client = query(first)
    client.command("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO kept VALUES (1), (2)")
    client.close()

    assert Stack(home).up(Plan([TICKER])).started == ()  # another process, everything is up already
    running = pids(stack)
    assert stack.down() is True
    assert nothing_lives(running)
    assert stack.down() is False
    assert not stack.status().running

    second = Stack(home).up()
    assert (second.bootstrap_servers, second.clickhouse_url) == (first.bootstrap_servers, first.clickhouse_url)
    assert second.password == first.password
    assert "kept" in AdminClient({"bootstrap.servers": second.bootstrap_servers}).list_topics(timeout=10).topics
    client = query(second)
    assert client.command("SELECT count() FROM kept") == 2
    client.close()


def test_killed_processes_come_back_with_their_data(home: Path) -> None:
    """SIGKILL of broker, engine and app: each is restarted and ready again, nothing acknowledged is lost."""
    stack = Stack(home)
    endpoints = stack.up(Plan([TICKER]))
    client = query(endpoints)
    client.command("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO kept VALUES (1)")
    before = pids(stack)
    for name in ("kafka", "clickhouse", "ticker"):
        os.kill(before[name], signal.SIGKILL)

    def is_back() -> bool:
        statuses = {status.process.name: status for status in stack.status().processes}
        ready = all(statuses[name].ready for name in ("kafka", "clickhouse")) and statuses["ticker"].process.alive
        return ready and all(statuses[name].process.pid != before[name] for name in statuses)

    until("it is back", is_back)
    assert client.command("SELECT count() FROM kept") == 1
    client.close()


def test_killed_supervisor_leaves_nothing_and_up_recovers(home: Path) -> None:
    """SIGKILL of supervisord takes every process along; status says so; the next up starts on the same ports."""
    stack = Stack(home)
    first = stack.up(Plan([TICKER]))
    before = pids(stack)
    os.kill(before["supervisord"], signal.SIGKILL)
    until("everything is gone", lambda: nothing_lives(before), 10)
    assert (stack.status().running, stack.status().stale) == (False, True)
    second = Stack(home).up()
    assert second.started == ("kafka", "clickhouse")
    assert second.bootstrap_servers == first.bootstrap_servers


@pytest.mark.long
def test_two_stacks_run_side_by_side(home: Path, tmp_path: Path) -> None:
    """Two homes share nothing: stopping one leaves the other alone."""
    other = Stack(tmp_path / "other")
    one, two = Stack(home).up(), other.up()
    try:
        assert not {one.bootstrap_servers, one.clickhouse_url} & {two.bootstrap_servers, two.clickhouse_url}
        assert one.password != two.password
    finally:
        other.down()
    assert all(status.ready for status in Stack(home).status().processes)


@pytest.mark.long  # short: tests/e2e/test_demo.py, whose stack is tied, with both signals
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_tied_stack_dies_with_its_process(home: Path, end: signal.Signals) -> None:
    """A demo that is killed, or stopped by Ctrl-C, leaves no process behind."""
    script = (
        "import sys, time; from pathlib import Path; from runbus.local.options import StackOptions;"
        "from runbus.local.stack import Stack;"
        "Stack(Path(sys.argv[1]), StackOptions(tied=True)).up(); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == "up\n"
        processes = pids(Stack(home))
        demo.send_signal(end)
    until("everything is gone", lambda: nothing_lives(processes), 30)


def test_interrupted_start_stops_what_it_started(home: Path) -> None:
    """Ctrl-C while the caller prepares topics: everything is stopped again and the interrupt goes on."""
    stack, seen = Stack(home), dict[str, int]()

    def interrupt(_endpoints: Endpoints) -> None:
        seen.update(pids(stack))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack.up(Plan([TICKER], interrupt))
    assert len(seen) == 3
    assert nothing_lives(seen)


def test_engine_that_does_not_come_up_is_told_with_its_log(home: Path) -> None:
    """A broker that ends at its start, because its data are another's: one error with the log, nothing left running."""
    (home / "data" / "kafka" / "data").mkdir(parents=True)
    (home / "data" / "kafka" / "data" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=99\n")
    with pytest.raises(RunBusError, match=r"kafka ended while starting\. Its log is .*kafka\.log"):
        Stack(home).up()
    assert not Stack(home).status().running


def test_fixed_port_that_is_taken_is_one_error(home: Path) -> None:
    """A port that the user asked for and that is taken is named with its option; nothing is started."""
    with listen(free_port(), "--kafka-port") as taken:
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(RunBusError, match=rf"port {port} is in use .* --kafka-port"):
            Stack(home, StackOptions(kafka_port=port)).up()
        with pytest.raises(RunBusError, match=rf"port {port} is in use .* --clickhouse-port"):
            Stack(home, StackOptions(clickhouse_port=port)).up()
    assert not Stack(home).status().running


def test_fixed_ports_and_the_registry(home: Path) -> None:
    """Ports that the user asked for are the ones that serve, and the optional registry is in the configuration."""
    kafka, clickhouse, registry = free_port(), free_port(), free_port()
    options = StackOptions(kafka_port=kafka, clickhouse_port=clickhouse, registry=True, registry_port=registry)
    endpoints = Stack(home, options).up()
    assert endpoints.bootstrap_servers == f"127.0.0.1:{kafka}"
    assert endpoints.clickhouse_url == f"http://127.0.0.1:{clickhouse}"
    assert endpoints.registry_url == f"http://127.0.0.1:{registry}/apis/ccompat/v7"
    assert tomllib.loads((home / "runbus.toml").read_text())["registry"]["url"] == endpoints.registry_url
    assert [status.ready for status in Stack(home).status().processes] == [True, True, True]
    assert not is_free(kafka)


def test_environment_does_not_lead_a_stack_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of another installation reach neither supervised apps nor children; the sink serves this stack."""
    for name, value in {**ELSEWHERE, "RUNBUS_SINK_RANGE_STEPS": "1000"}.items():
        monkeypatch.setenv(name, value)
    stack, began = Stack(home), datetime.now(UTC)
    endpoints = stack.up(Plan([*APPS, StackProcess("dump", DUMP)], prepare))
    wait_for_apps(endpoints, began)
    child = home / "logs" / "child.log"
    with running(ProgramSpec("child", DUMP, lambda: child.is_file() and child.read_text().endswith("\n")), child):
        pass
    output = stack.supervisor.log_path("dump")
    until("it has written", lambda: output.read_text().endswith("\n"))
    for seen in (json.loads(output.read_text()), json.loads(child.read_text())):
        assert not {name for name, value in ELSEWHERE.items() if seen.get(name) == value}
        assert seen["RUNBUS_SINK_RANGE_STEPS"] == "1000"
    assert json.loads(output.read_text())["RUNBUS_CONFIG"] == str(home / "runbus.toml")


@pytest.mark.long
def test_registry_of_a_new_stack_knows_the_schemas_and_stays(home: Path) -> None:
    """The sink of a new stack with a registry works at once; a later up without the option changes nothing."""
    began = datetime.now(UTC)
    first = Stack(home, StackOptions(registry=True)).up(Plan(APPS, prepare))
    wait_for_apps(first, began)
    schemas = registry(sources(first))
    assert schemas is not None
    assert schemas.id_of("runbus.steps", schema("StepBatch")) > 0
    text = (home / "runbus.toml").read_text()
    second = Stack(home).up(Plan(APPS, prepare))
    assert (second.started, second.registry_url) == ((), first.registry_url)
    assert (home / "runbus.toml").read_text() == text
    assert tomllib.loads(text)["registry"]["url"] == first.registry_url


def test_home_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """A home below a file cannot exist: the error names it and the setting."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunBusError, match=r"cannot write to .*file/home: Not a directory\..* RUNBUS_HOME"):
        Stack(tmp_path / "file" / "home").up()


def test_full_disk_is_one_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than 200 MB free nothing is started."""
    usage = shutil.disk_usage(home.parent)._replace(free=5 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(RunBusError, match=r"only 5 MB are free at .* RUNBUS_HOME"):
        Stack(home).up()
    assert not Stack(home).status().running
