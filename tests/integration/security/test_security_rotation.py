"""A password and a certificate change under load, and the old ones are refused: not one step is lost."""

import json
import secrets
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.acls import apply_acls, everything_of
from runbus.kafka.principals import Role
from runbus.kafka.settings import KafkaSettings
from tests.integration.security.broker import SecureBroker
from tests.integration.security.conftest import Installation
from tests.integration.security.secured_processes import AGENT, MODULES, Processes, clickhouse_environment, environment
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def client(migrated: ClickHouseSettings) -> Iterator[Client]:
    """Yield a client of this test's database: many questions, one connection."""
    made = connect(migrated)
    yield made
    made.close()


def stored(client: Client, run: str) -> int:
    """Return the steps of a run that are in ClickHouse."""
    found = client.query("SELECT count() FROM steps WHERE run_id = {run:String}", parameters={"run": run})
    return int(found.result_rows[0][0])


def finish(processes: Processes, store: dict[str, str], reader: KafkaSettings) -> None:
    """End the agent and fail unless the audit finds everything once."""
    until("the agent ends", lambda: '"produced"' in processes.log("recorder"), 120)
    stats = json.loads(processes.log("recorder").strip().splitlines()[-1])
    assert stats["dropped"] == 0
    assert stats["delivered"] == stats["produced"]

    def audit() -> dict[str, int]:
        env = environment(reader, processes.folder, "reader") | store
        processes.start("audit", ["-m", "runbus.cli", "audit", "--json"], env).wait(120)
        total: dict[str, int] = processes.document("audit")["total"]
        return total

    try:
        until("the sink is done", lambda: audit()["in_flight"] == 0)
    except pytest.fail.Exception as failure:
        failure.add_note(processes.log("audit")[-1500:] + processes.log("sink")[-4000:])
        raise
    total = audit()
    assert (total["missing"], total["duplicates"], total["dropped"]) == (0, 0, 0)
    assert total["produced"] == total["stored"] == stats["produced"]


@pytest.mark.long  # short: a certificate, below
@pytest.mark.timeout(600)
def test_a_password_changes_under_load_without_a_lost_step(
    installation: Installation, migrated: ClickHouseSettings, client: Client, processes: Processes, tmp_path: Path
) -> None:
    """New passwords on the broker, then in the files, then every connection is cut: all go on with the new ones."""
    broker, run = installation.broker, f"run-{uuid.uuid4().hex[:8]}"
    store = clickhouse_environment(migrated, tmp_path)
    roles: tuple[Role, ...] = (*MODULES, "recorder")
    env = {role: environment(installation.settings(role), tmp_path, role) | store for role in roles}
    for role in MODULES:
        processes.start(role, ["-m", MODULES[role]], env[role])
    agent = processes.start("recorder", ["-c", AGENT, run, "1", "90"], env["recorder"])
    until("steps are stored", lambda: stored(client, run) > 0)
    until("the apps work", lambda: all("streams.opened" in processes.log(r) for r in MODULES if r != "sink"))
    for role in roles:
        password = secrets.token_urlsafe(16)
        broker.set_password(installation.user(role), password)
        Path(env[role]["KAFKA_SASL_PASSWORD_FILE"]).write_text(password)
    until("they took it over", lambda: all(processes.log(role).count(".started ") == 2 for role in MODULES))
    until("the agent took it over", lambda: "the credentials for Kafka changed" in processes.log("recorder"))
    broker.restart()  # every connection has to be made anew, and the old password opens none
    flows(client, run)
    for role in MODULES:
        if processes.ended(role):  # an app whose broker dies inside a commit ends by itself, to be started again
            assert "start it again" in processes.log(role), processes.log(role)
            processes.start(role, ["-m", MODULES[role]], env[role])
            until(f"{role} is back", lambda role=role: "streams.opened" in processes.log(role))  # type: ignore[misc]
    agent.send_signal(signal.SIGUSR1)
    finish(processes, store, installation.settings("reader"))
    assert [processes.stop(role) for role in MODULES] == [0, 0, 0], processes.log("live-metrics")


@pytest.mark.timeout(600)
def test_a_certificate_changes_under_load_without_a_lost_step(
    installation: Installation, migrated: ClickHouseSettings, client: Client, processes: Processes, tmp_path: Path
) -> None:
    """Another certificate and key in the same files; then the old subject loses its rights: the new one goes on."""
    broker, run = installation.broker, f"run-{uuid.uuid4().hex[:8]}"
    store = clickhouse_environment(migrated, tmp_path)
    roles: tuple[Role, ...] = ("sink", "recorder")
    old = grant(installation, "old")
    names = {role: f"{role}-old{installation.suffix}" for role in roles}
    users = {role: broker.certificate_settings(name, installation.prefix) for role, name in names.items()}
    for role in roles:
        env = environment(users[role], tmp_path, role) | (store if role == "sink" else {})
        arguments = ["-m", MODULES[role]] if role in MODULES else ["-c", AGENT, run, "1", "90"]
        agent = processes.start(role, arguments, env)
    until("steps are stored", lambda: stored(client, run) > 0)
    grant(installation, "new")
    for role in roles:
        replace_files(broker, users[role], f"{role}-new{installation.suffix}")
    until("the sink took it over", lambda: processes.log("sink").count("sink.started") == 2)
    until("the agent took it over", lambda: "the credentials for Kafka changed" in processes.log("recorder"))
    flows(client, run)
    revoke(installation, old)
    flows(client, run)
    agent.send_signal(signal.SIGUSR1)
    finish(processes, store, installation.settings("reader"))
    assert processes.stop("sink") == 0


def flows(client: Client, run: str) -> None:
    """Return once a thousand more steps of the run are stored."""
    before = stored(client, run)
    until("more steps are stored", lambda: stored(client, run) > before + 1000)


def grant(installation: Installation, age: str) -> dict[str, str]:
    """Give each role's rights to a certificate; return the principals."""
    names: dict[str, str] = {r: f"User:CN={r}-{age}{installation.suffix}" for r in installation.principals}
    apply_acls(installation.root, names)
    return names


def revoke(installation: Installation, principals: dict[str, str]) -> None:
    """Take every right away from these principals."""
    admin = installation.broker.admin()
    for future in admin.delete_acls([everything_of(name) for name in principals.values()]).values():
        assert future.result(20)


def replace_files(broker: SecureBroker, settings: KafkaSettings, name: str) -> None:
    """Put another certificate and its key where the settings look for them."""
    fresh = replace(broker.certificate_settings(name), topic_prefix=settings.topic_prefix)
    Path(settings.ssl_certificate_location).write_bytes(Path(fresh.ssl_certificate_location).read_bytes())
    Path(settings.ssl_key_location).write_bytes(Path(fresh.ssl_key_location).read_bytes())
