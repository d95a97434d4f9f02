"""The ClickHouse adapter as a process: ownership of its data, SIGKILL, clean stop, errors of the user."""

import os
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import pytest

from runbus.config.errors import RunBusError
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service
from runbus.local.ports import free_port, listen
from runbus.local.process import running, start

pytestmark = pytest.mark.integration


def options(home: Path) -> ClickHouseOptions:
    """Place an engine in ``home`` on a fresh port."""
    return ClickHouseOptions(home, free_port(), "owner-password", "reader-password")


def run_adapter(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the adapter's command line to its end."""
    argv = [sys.executable, "-m", "runbus.local.clickhouse_http", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_acknowledged_inserts_survive_sigkill(tmp_path: Path) -> None:
    """Every insert that was answered is there after SIGKILL, with the deduplication of its tokens."""
    tables = "CREATE TABLE kept (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS "
    for attempt in range(3):
        placed = options(tmp_path / "engine")
        process = start(clickhouse_service(placed), tmp_path / "engine.log")
        try:
            client = clickhouse_connect.get_client(dsn=placed.url, username=OWNER, password=placed.owner_password)
            if attempt == 0:
                client.command(tables + "non_replicated_deduplication_window = 100")
            for token in range(20):
                settings = {"async_insert": 0, "insert_deduplication_token": str(token)}
                client.raw_insert("kept", insert_block=b"1,a\n2,b\n", fmt="CSV", settings=settings)
            assert client.command("SELECT count() FROM kept") == 40
            client.close()
        finally:
            process.kill()


def test_clean_stop_ends_with_zero(tmp_path: Path) -> None:
    """SIGTERM ends the process with code 0 and an empty log."""
    process = start(clickhouse_service(options(tmp_path / "engine")), tmp_path / "engine.log")
    assert process.stop() == 0
    assert (tmp_path / "engine.log").read_text() == ""


def test_clean_stop_does_not_wait_for_a_long_query(tmp_path: Path) -> None:
    """A statement that would run for a minute is cut off after the grace."""
    placed = options(tmp_path / "engine")
    process = start(clickhouse_service(placed), tmp_path / "engine.log")
    script = (
        "import clickhouse_connect, sys;"
        "k = clickhouse_connect.get_client(dsn=sys.argv[1], username=sys.argv[2], password=sys.argv[3]);"
        "k.query('SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_block_size = 1')"
    )
    argv = [sys.executable, "-c", script, placed.url, OWNER, placed.owner_password]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as query:
        client = clickhouse_connect.get_client(dsn=placed.url, username=OWNER, password=placed.owner_password)
        while not client.command(
            "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(1)%numbers(60)%'"
        ):
            assert query.poll() is None
        client.close()
        assert process.stop() == 0
        query.kill()


def test_second_owner_of_the_data_is_refused(tmp_path: Path) -> None:
    """Two engines on one directory would destroy it: the second one says so in one line."""
    placed = options(tmp_path / "engine")
    with running(clickhouse_service(placed), tmp_path / "engine.log"):
        users, data = str(placed.home / "users.json"), str(placed.home / "data")
        done = run_adapter("--path", data, "--port", str(free_port()), "--users", users)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{data} is in use by another process" in done.stderr


def test_taken_port_is_one_line(tmp_path: Path) -> None:
    """A port in use names the port and the option, without a traceback."""
    placed = options(tmp_path / "engine")
    service = clickhouse_service(placed)
    with listen(placed.port, "--port") as taken:
        taken.listen()
        with pytest.raises(RunBusError, match="ended while starting") as caught:
            start(service, tmp_path / "engine.log")
    assert f"port {placed.port} is in use by another process. Stop it, or choose another with --port." in str(
        caught.value
    )
    assert "Traceback" not in str(caught.value)


def test_missing_users_file_is_one_line(tmp_path: Path) -> None:
    """Without users nobody could log in: the file is named."""
    missing = tmp_path / "none.json"
    done = run_adapter("--path", str(tmp_path / "d"), "--port", str(free_port()), "--users", str(missing))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(missing) in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_unwritable_directory_is_one_line(tmp_path: Path) -> None:
    """A directory without write permission names the directory."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    placed = options(tmp_path / "engine")
    clickhouse_service(placed)
    users = str(placed.home / "users.json")
    done = run_adapter("--path", str(locked / "d"), "--port", str(free_port()), "--users", users)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot write to" in done.stderr


def test_path_below_a_file_is_one_line(tmp_path: Path) -> None:
    """A path that cannot become a directory is a user's error, also for root."""
    (tmp_path / "file").write_text("x")
    placed = options(tmp_path / "engine")
    clickhouse_service(placed)
    users = str(placed.home / "users.json")
    done = run_adapter("--path", str(tmp_path / "file" / "d"), "--port", str(free_port()), "--users", users)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cannot write to" in done.stderr
