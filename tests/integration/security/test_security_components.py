"""Every component as a real process with exactly its documented rights, by password and by certificate."""

import signal
import uuid
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.acls import apply_acls
from runbus.kafka.settings import KafkaSettings
from tests.integration.security.conftest import Installation
from tests.integration.security.secured_processes import AGENT, MODULES, Processes, clickhouse_environment, environment
from tests.integration.watchdog.reports import Document, reports
from tests.support.waiting import until

pytestmark = pytest.mark.integration

STEPS = 3_000


def by_certificate(installation: Installation) -> dict[str, KafkaSettings]:
    """Give the rights to certificates; return how each role connects."""
    names: dict[str, str] = {role: f"{role}{installation.suffix}" for role in installation.principals}
    apply_acls(installation.root, {role: f"User:CN={name}" for role, name in names.items()})
    broker = installation.broker
    return {role: broker.certificate_settings(name, installation.prefix) for role, name in names.items()}


def _is_well(document: Document) -> bool:
    groups = {group["kind"] for group in document["groups"] if group["state"] == "OK"}
    return groups >= {"sink", "episodes", "live-metrics"} and all(
        way["came_back"] for way in document["canary"]["ways"]
    )


@pytest.mark.parametrize("kind", ["password", pytest.param("certificate", marks=pytest.mark.long)])
def test_everything_runs_with_its_own_rights_only(
    installation: Installation, migrated: ClickHouseSettings, processes: Processes, tmp_path: Path, kind: str
) -> None:
    """Agent, sink, apps, watchdog, page and audit, each its own user: complete, and no secret is shown anywhere."""
    users = (
        by_certificate(installation)
        if kind == "certificate"
        else {r: installation.settings(r) for r in installation.principals}
    )
    store, run = clickhouse_environment(migrated, tmp_path), f"run-{uuid.uuid4().hex[:8]}"
    for role, module in MODULES.items():
        env = environment(users[role], tmp_path, role) | (store if role == "sink" else {})
        processes.start(role, ["-m", module], env)
    env = environment(users["watchdog"], tmp_path, "watchdog") | store | {"RUNBUS_WATCHDOG_CANARY_SECONDS": "1"}
    processes.start("watchdog", ["-m", "runbus.watchdog"], env)
    page = {"RUNBUS_DASHBOARD_ADDRESS": "127.0.0.1:0"}
    processes.start(
        "dashboard", ["-m", "runbus.dashboard"], environment(users["dashboard"], tmp_path, "dashboard") | page
    )
    env = environment(users["recorder"], tmp_path, "recorder")
    agent = processes.start("recorder", ["-c", AGENT, run, str(STEPS), "60"], env)
    client = connect(migrated)
    try:
        until("the agent records", lambda: "recording" in processes.log("recorder"))
        seen = processes.command_lines()
        agent.send_signal(signal.SIGUSR1)
        of_run = f"WHERE run_id = '{run}'"
        count = f"SELECT (SELECT count() FROM steps {of_run}), count() FROM episodes_latest {of_run}"
        wanted = [(STEPS + STEPS // 100, STEPS // 100)]
        until("steps and episodes are stored", lambda: client.query(count).result_rows == wanted)
        with reports(users["reader"]) as said_by_watchdog:
            said_by_watchdog.until("it sees everything, and its canary comes back", _is_well)
        until("the page is served", lambda: "dashboard.listening" in processes.log("dashboard"))
    except pytest.fail.Exception as failure:
        for name in (*MODULES, "recorder", "watchdog", "dashboard"):
            failure.add_note(f"{name}: {processes.log(name)[-1500:]}")
        raise
    finally:
        client.close()
    assert agent.wait(60) == 0
    assert [processes.stop(role) for role in ("dashboard", "watchdog", *MODULES)] == [0, 0, 0, 0, 0]
    env = environment(users["reader"], tmp_path, "reader") | store
    audit = processes.start("audit", ["-m", "runbus.cli", "audit", "--run", run, "--json"], env)
    assert audit.wait(60) == 0, processes.log("audit")
    config = processes.start("config", ["-m", "runbus.cli", "config", "show"], env)
    assert config.wait(60) == 0
    total = processes.document("audit")["total"]
    assert (total["produced"], total["stored"], total["missing"], total["duplicates"]) == (wanted[0][0],) * 2 + (0, 0)
    said = seen + "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.log"))
    secrets = {migrated.password.reveal(), *(u.sasl_password.reveal() for u in users.values())} - {""}
    assert not [secret for secret in secrets if secret in said]
