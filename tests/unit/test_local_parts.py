"""The stack's small parts: ports, directories, Java, jars, state, logs, supervisord's configuration."""

import json
import shlex
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbus.config.catalogue import SETTINGS
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress
from runbus.local.child import wrap
from runbus.local.env import stack_environment
from runbus.local.jars import Artifact, class_path
from runbus.local.java import java_version
from runbus.local.paths import enough_space, writable_directory
from runbus.local.ports import answers, choose, free_port, http_answers, is_free, listen
from runbus.local.process import ProgramSpec, last_lines, wait_ready
from runbus.local.state import StackState, load_state, save_state
from runbus.local.supervision import Supervisor


def test_taken_port_is_named_with_its_option() -> None:
    """A fixed port that is taken is one clear error; a remembered one is silently replaced."""
    with listen(free_port(), "--x") as server:
        server.listen()
        port = int(server.getsockname()[1])
        assert answers(port)
        assert not is_free(port)
        with pytest.raises(RunBusError, match=f"port {port} is in use by another process. .* with --kafka-port"):
            choose(port, None, "--kafka-port")
        assert choose(None, port, "--kafka-port") != port
    assert choose(None, port, "--kafka-port") == port
    assert not answers(port)
    assert not http_answers(port, "/")


@pytest.mark.parametrize("port", [70_000, -1])
def test_impossible_port_is_named(port: int) -> None:
    """A number that is no port is the user's mistake."""
    with pytest.raises(RunBusError, match=rf"{port} is no TCP port.*--kafka-port"):
        listen(port, "--kafka-port")


def test_directory_below_a_file_is_named(tmp_path: Path) -> None:
    """A directory that cannot be made is named with its setting; one that can is made."""
    assert writable_directory(tmp_path / "a" / "b", "RUNBUS_HOME").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(RunBusError, match=r"cannot write to .*file/x: Not a directory\. .*RUNBUS_HOME"):
        writable_directory(tmp_path / "file" / "x", "RUNBUS_HOME")


def test_full_disk_is_named(tmp_path: Path) -> None:
    """Too little space is an error with both numbers."""
    enough_space(tmp_path, "RUNBUS_HOME", minimum=1)
    with pytest.raises(RunBusError, match=r"MB are free at .*RUNBUS_HOME"):
        enough_space(tmp_path, "RUNBUS_HOME", minimum=1 << 60)


@pytest.mark.parametrize(
    ("output", "version"),
    [('openjdk version "25.0.2" 2026-01-20', 25), ('java version "1.8.0_401"', 8), ("no java here", None)],
)
def test_java_version(tmp_path: Path, output: str, version: int | None) -> None:
    """Old and new version lines are understood; what is not Java is not."""
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\ncat >&2 <<'EOF'\n{output}\nEOF\n")
    java.chmod(0o755)
    assert java_version(java) == version


def test_missing_java_has_no_version(tmp_path: Path) -> None:
    """A path without a program is not an error."""
    assert java_version(tmp_path / "java") is None


ROOT, EXTRA = Artifact("g", "a", "1"), Artifact("g", "b", "2")


def cached(cache: Path) -> tuple[Path, ...]:
    """Put a resolved class path of ROOT and EXTRA into a cache."""
    jars = (cache / "a.jar", cache / "b.jar")
    for jar in jars:
        jar.touch()
    from runbus.local import jars as module

    def fetch(wanted: tuple[Artifact, ...], _cache: Path, _report: OnProgress) -> tuple[Path, ...]:
        assert wanted == (ROOT, EXTRA)
        return jars

    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(module, "_fetch", fetch)
        assert class_path(ROOT, cache, alone=(EXTRA,)) == jars
    return jars


def test_resolved_class_path_is_read_offline_and_fast(tmp_path: Path) -> None:
    """The second time needs neither the network nor 50 ms."""
    jars = cached(tmp_path)
    started = time.perf_counter()
    assert class_path(ROOT, tmp_path, alone=(EXTRA,)) == jars
    assert time.perf_counter() - started < 0.05


def test_missing_jar_or_damaged_manifest_resolves_again(tmp_path: Path) -> None:
    """A cache that lost a file is not trusted."""
    jars = cached(tmp_path)
    jars[1].unlink()
    assert cached(tmp_path) == jars
    next((tmp_path / "class-paths").glob("*.json")).write_text("{")
    assert cached(tmp_path) == jars


def test_two_at_once_resolve_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes while another downloads waits for it and takes its result."""
    (tmp_path / "a.jar").touch()
    calls: list[int] = []
    inside = threading.Barrier(2, timeout=5)

    def fetch(_wanted: tuple[Artifact, ...], _cache: Path, _report: OnProgress) -> tuple[Path, ...]:
        calls.append(1)
        inside.wait()
        return (tmp_path / "a.jar",)

    monkeypatch.setattr("runbus.local.jars._fetch", fetch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(class_path, ROOT, tmp_path)
        second = pool.submit(class_path, ROOT, tmp_path)
        inside.wait()  # one of them resolves now; a second resolver would break the barrier
        assert first.result(5) == second.result(5) == (tmp_path / "a.jar",)
    assert calls == [1]


def test_unreachable_registry_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the resolver raises becomes one sentence that names the artifact and what to check."""

    def fail(_wanted: tuple[Artifact, ...], _cache: Path, _report: OnProgress) -> tuple[Path, ...]:
        raise ConnectionError("no route")

    monkeypatch.setattr("runbus.local.jars._fetch", fail)
    with pytest.raises(RunBusError, match=r"cannot get g:a:1 .* ConnectionError: no route.*RUNBUS_CACHE"):
        class_path(ROOT, tmp_path)


def test_state_round_trips_and_is_private(tmp_path: Path) -> None:
    """Ports and passwords come back; a new or damaged state has new passwords."""
    path = tmp_path / "stack.json"
    state = StackState("owner", "reader", 1, 2, 3, 4)
    save_state(path, state)
    assert load_state(path) == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(json.dumps({"unknown": 1}))
    fresh = load_state(path)
    assert len({fresh.owner_password, fresh.reader_password, load_state(path).owner_password}) == 3
    assert fresh.kafka_port == 0


def test_end_of_a_log_without_stack_frames(tmp_path: Path) -> None:
    """An error shows the lines that tell something, not Java's frames, and the path of the log."""
    log = tmp_path / "kafka.log"
    frames = "\tat a.b.C.d(C.java:1)\n" * 50
    log.write_text(f"ERROR it broke\n{frames}Caused by: port taken\n{frames}\t... 18 more\n")
    assert last_lines(log) == f" Its log is {log} and ends with:\n  ERROR it broke\n  Caused by: port taken"
    assert last_lines(tmp_path / "none") == f" Its log is {tmp_path / 'none'} (empty)."


def test_waiting_ends_when_the_process_does(tmp_path: Path) -> None:
    """A service that ended, or is too slow, is an error and not a wait."""
    service = ProgramSpec("thing", ("x",), probe=lambda: False, start_seconds=0.1)
    with pytest.raises(RunBusError, match="thing ended while starting"):
        wait_ready(service, tmp_path / "log", alive=lambda: False)
    with pytest.raises(RunBusError, match="thing did not answer within 0 s"):
        wait_ready(service, tmp_path / "log", alive=lambda: True)
    wait_ready(ProgramSpec("thing", ("x",), probe=lambda: True), tmp_path / "log", alive=lambda: False)


def test_supervisor_configuration_keeps_odd_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Percent signs, quotes and blanks in paths, arguments and variables survive supervisord's two parsers."""
    from supervisor.options import ServerOptions

    home = tmp_path / "100% home"
    odd = 'a "b" \\ %d, c=d'
    service = ProgramSpec("app", ("run", odd, "it's"), lambda: True, {"ODD": odd}, home, stop_seconds=7)
    Supervisor(home).configure([(service, 5)])

    monkeypatch.chdir(home)
    options = ServerOptions()
    options.realize(["-c", str(home / "run" / "supervisord.conf")])
    program = options.process_group_configs[0].process_configs[0]
    environment = home / "run" / "app.environment.json"
    assert shlex.split(program.command) == list(wrap(("run", odd, "it's"), environment))
    assert json.loads(environment.read_text()) == {"ODD": odd}
    assert (program.directory, program.stopwaitsecs, program.priority) == (str(home), 7, 5)
    assert (program.autostart, program.autorestart is not False) == (False, True)
    assert Path(program.stdout_logfile).absolute() == home / "logs" / "app.log"


def test_supervisor_that_never_ran(tmp_path: Path) -> None:
    """Without supervisord there are no processes, nothing is stale, and stopping does nothing."""
    supervisor = Supervisor(tmp_path)
    assert (supervisor.is_running(), supervisor.is_stale(), supervisor.pid()) == (False, False, None)
    assert supervisor.processes() == {}
    assert supervisor.stop(1) is False


def test_environment_of_a_stack_names_no_other_installation() -> None:
    """Addresses, credentials, their files, the prefix and the group are removed; tuning and the rest stay."""
    settings = {setting.env: "x" for setting in SETTINGS}
    files = {f"{setting.env}_FILE": "x" for setting in SETTINGS if setting.secret}
    others = {"PATH": "/bin", "JAVA_HOME": "/java", "KAFKA_HEAP_OPTS": "-Xmx1g", "RUNBUS_HOME": "/home"}
    environ = {**settings, **files, "RUNBUS_CONFIG": "/other.toml", **others}
    kept = stack_environment(environ)
    assert "KAFKA_BOOTSTRAP_SERVERS" in environ
    assert {n for n in kept if n.startswith(("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_"))} == {"KAFKA_HEAP_OPTS"}
    one_process = {
        "RUNBUS_SINK_GROUP",
        "RUNBUS_SINK_INSTANCE_ID",
        "RUNBUS_STREAMS_INSTANCE_ID",
        "RUNBUS_PROBES_ADDRESS",
        "RUNBUS_WATCHDOG_WEBHOOK_URL",
        "RUNBUS_DASHBOARD_ADDRESS",
    }
    token = {"RUNBUS_DASHBOARD_TOKEN_FILE"}  # who protects a page does so wherever it is
    assert not {"RUNBUS_TOPIC_PREFIX", "RUNBUS_CONFIG", *one_process} & set(kept)
    tuning = {s.env for s in SETTINGS if s.section not in ("kafka", "registry", "clickhouse", "users")}
    assert set(kept) == set(others) | token | tuning - one_process


def test_command_is_wrapped_by_this_interpreter() -> None:
    """The launcher runs in the same environment as its starter."""
    assert wrap(("a", "b")) == (sys.executable, "-m", "runbus.local.child", "--", "a", "b")
