"""Starts, stops and shows the local stack as one thing. Data, ports, passwords and options survive restarts.

Order of a start: engines, until they answer; then the caller's preparation (topics, migrations); then the apps; then
the caller's proof that they work. A start that fails anywhere is undone: what it started is stopped.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.config.secret import Secret
from runbus.config.sources import FILE_NAME, cache
from runbus.local.clickhouse import OWNER, READER, ClickHouseOptions, clickhouse_service, engine_answers
from runbus.local.interrupts import Interrupts
from runbus.local.kafka import KafkaOptions, broker_answers, kafka_service
from runbus.local.options import StackOptions, changes, chosen, refuse_changes
from runbus.local.paths import enough_space, is_full, save_private, writable_directory
from runbus.local.ports import LOOPBACK, answers, free_port, http_answers
from runbus.local.process import ProgramSpec, wait_ready
from runbus.local.registry import CONFLUENT_PATH, RegistryOptions, registry_answers, registry_service
from runbus.local.state import StackState, load_state, save_state
from runbus.local.supervision import ProcessState, Supervisor

log = logging.getLogger(__name__)

DATABASE = "runbus"
_ENGINE_PRIORITY, _APP_PRIORITY = 10, 100  # supervisord stops the highest number first
_STOP_SECONDS = 90.0
_STALE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StackProcess:
    """Describes a process of RunBus that runs on the engines of the stack, for example the sink.

    `environment` is added to what every process of the stack gets. `reads_only`: its user of ClickHouse may only read.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 20.0
    reads_only: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a running stack. `registry_url` is empty without a registry.

    `started` names what the `up` that returns this has started: empty if everything ran already. `changed`
    has a line for each thing that it changed for good; `already_running`: it found a stack that ran.
    """

    bootstrap_servers: str
    clickhouse_url: str
    user: str
    password: Secret
    reader: str
    reader_password: Secret
    registry_url: str
    dashboard_url: str
    config_file: Path
    started: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    already_running: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps of a start after the engines, in this order; `report` is told the progress.

    `prepare` runs between the engines and the processes, `confirm` at the end, both at every call of `Stack.up`:
    they must be repeatable. What they raise makes the start fail.
    """

    processes: Sequence[StackProcess] = ()
    prepare: Callable[[Endpoints], None] | None = None
    confirm: Callable[[Endpoints], None] | None = None
    report: OnProgress = unseen


@dataclass(slots=True)
class _Attempt:
    """One start that is under way: what must be undone if it fails."""

    plan: Plan
    fresh: bool
    before: StackState
    interrupts: Interrupts
    started: list[str] = field(default_factory=list)
    remembered: bool = False


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process: what supervisord says, whether it answers (None: it has no address), where its log is."""

    process: ProcessState
    ready: bool | None
    address: str
    log: Path


@dataclass(frozen=True, slots=True)
class StackStatus:
    """A stack now. `running`: supervisord is up. `stale`: it died without cleaning up; the next `up` recovers."""

    home: Path
    running: bool
    stale: bool
    endpoints: Endpoints | None
    processes: tuple[ProcessStatus, ...]


class Stack:
    """The stack of one home directory. Several stacks with different homes run side by side."""

    def __init__(self, home: Path, options: StackOptions | None = None) -> None:
        """Nothing is touched yet."""
        self.home = home.absolute()
        self.options = options or StackOptions()
        self.supervisor = Supervisor(self.home)
        self.config_file = self.home / FILE_NAME
        self._reader_file = self.home / "reader.toml"
        self._state_file = self.home / "stack.json"

    def up(self, plan: Plan | None = None) -> Endpoints:
        """Bring everything up and return the addresses once all engines answer; what runs already is left alone.

        With `options.tied` everything dies with this process; otherwise it outlives it. If anything fails, including
        Ctrl-C and SIGTERM (a KeyboardInterrupt), what this start has started is stopped again; after a SIGKILL of this
        process too. Raises RunBusError for what the user can mend.
        """
        writable_directory(self.home, "RUNBUS_HOME")
        enough_space(self.home, "RUNBUS_HOME")
        with self._alone(), Interrupts() as interrupts:
            fresh = not self.supervisor.settle(_STOP_SECONDS)
            attempt = _Attempt(plan or Plan(), fresh, load_state(self._state_file), interrupts)
            try:
                return self._start(attempt)
            except BaseException as error:
                interrupts.hold()
                full = is_full(self.home)  # before the undoing frees some
                self._undo(attempt)
                if full and isinstance(error, (OSError, RunBusError)):
                    raise RunBusError(_FULL.format(self.home)) from error
                if isinstance(error, OSError):
                    reason = f"{error.strerror or error} ({error.filename or self.home})"
                    raise RunBusError(f"cannot start the stack of {self.home}: {reason}.") from error
                raise

    def down(self) -> bool:
        """Stop apps, then engines; returns False when nothing ran. Data, ports and passwords stay."""
        if not self.home.is_dir():
            return False
        with self._alone():
            return self._stop()

    def status(self) -> StackStatus:
        """Look at every process now; takes up to two seconds for each engine that hangs."""
        running = self.supervisor.is_running()
        state = load_state(self._state_file) if self._state_file.is_file() else None
        known = self.supervisor.processes()
        endpoints = self._endpoints(state, registry="registry" in known) if state and running else None
        statuses = tuple(self._process_status(process, state) for process in known.values())
        return StackStatus(self.home, running, self.supervisor.is_stale(), endpoints, statuses)

    def _start(self, attempt: _Attempt) -> Endpoints:
        plan, state = attempt.plan, self._next_state(attempt)
        engines = self._engines(state, plan.report)
        services = [(engine, _ENGINE_PRIORITY) for engine in engines]
        services += [(self._process(process), _APP_PRIORITY) for process in plan.processes]
        if attempt.fresh:
            self.supervisor.start(services, tied=self.options.tied)
        else:
            self.supervisor.configure(services)
            self.supervisor.adopt()
        self._launch([engine.name for engine in engines], attempt)
        for engine in engines:
            self._wait_ready(engine, attempt)
        endpoints = self._endpoints(state, registry=state.registry)
        save_private(self.config_file, _config_text(endpoints, endpoints.user, endpoints.password))
        save_private(self._reader_file, _config_text(endpoints, endpoints.reader, endpoints.reader_password))
        save_state(self._state_file, state)  # from here on the log may name schemas of the registry
        attempt.remembered = True
        if plan.prepare is not None:
            plan.report(_PREPARE, 0, 1)
            plan.prepare(endpoints)
            plan.report(_PREPARE, 1, 1)
        self._launch([process.name for process in plan.processes], attempt)
        if plan.confirm is not None:
            plan.confirm(endpoints)
        attempt.interrupts.check()
        if attempt.fresh:
            self.supervisor.keep()
        changed = changes(attempt.before, state) if attempt.fresh else ()
        started = tuple(attempt.started)
        return replace(endpoints, started=started, changed=changed, already_running=not attempt.fresh)

    def _next_state(self, attempt: _Attempt) -> StackState:
        before = attempt.before
        if not attempt.fresh:
            # It keeps what it was started with: its processes have read that once.
            registry = "registry" in self.supervisor.processes()
            refuse_changes(self.options, before, registry=registry)
            return replace(before, registry=registry, dashboard_port=before.dashboard_port or free_port())
        self._wait_for_remains(before)
        state = chosen(self.options, before)
        save_state(self._state_file, replace(state, fixed=before.fixed, registry=before.registry))
        return state

    def _launch(self, names: Sequence[str], attempt: _Attempt) -> None:
        for name in names:
            attempt.interrupts.check()
            if self.supervisor.launch(name):
                attempt.started.append(name)
                attempt.plan.report(name, 0, 1)

    def _wait_ready(self, engine: ProgramSpec, attempt: _Attempt) -> None:
        def alive() -> bool:
            attempt.interrupts.check()
            process = self.supervisor.processes().get(engine.name)
            return process is not None and process.alive

        wait_ready(engine, self.supervisor.log_path(engine.name), alive)
        if engine.name in attempt.started:
            attempt.plan.report(engine.name, 1, 1)

    def _undo(self, attempt: _Attempt) -> None:
        """Stop what a failed start has started; its choices are kept only if its engines answered."""
        if attempt.fresh:
            self._stop()
        else:
            self._halt(attempt.started)
        if not attempt.remembered and attempt.before.kafka_port:
            with suppress(OSError):  # a full disk: the ports it chose stay
                save_state(self._state_file, attempt.before)

    def _halt(self, names: Sequence[str]) -> None:
        """Stop processes of a supervisor that goes on running, the last one first."""
        for name in reversed(names):
            self.supervisor.halt(name)
        deadline = Deadline.after(_STOP_SECONDS, time.monotonic())
        while any(self.supervisor.is_busy(name) for name in names) and not deadline.passed(time.monotonic()):
            time.sleep(0.05)

    def _stop(self) -> bool:
        # All apps at once; supervisord would stop them one after the other.
        processes = self.supervisor.processes()
        waiting = [name for name, process in processes.items() if name not in _ENGINES and process.alive]
        for name in waiting:
            self.supervisor.halt(name)
        return self.supervisor.stop(_STOP_SECONDS)

    def _engines(self, state: StackState, report: OnProgress) -> list[ProgramSpec]:
        data, jars = self.home / "data", self.options.cache or cache()
        kafka = KafkaOptions(data / "kafka", state.kafka_port, state.controller_port, jars)
        clickhouse = ClickHouseOptions(
            data / "clickhouse", state.clickhouse_port, state.owner_password, state.reader_password
        )
        services = [kafka_service(kafka, report), clickhouse_service(clickhouse)]
        if state.registry:
            registry = RegistryOptions(data / "registry", state.registry_port, jars)
            services.append(registry_service(registry, report))
        return services

    def _process(self, app: StackProcess) -> ProgramSpec:
        config = self._reader_file if app.reads_only else self.config_file
        environment = {"RUNBUS_HOME": str(self.home), "RUNBUS_CONFIG": str(config), "PYTHONUNBUFFERED": "1"}
        environment |= app.environment
        return ProgramSpec(app.name, app.argv, lambda: True, environment, self.home, stop_seconds=app.stop_seconds)

    def _endpoints(self, state: StackState, *, registry: bool) -> Endpoints:
        return Endpoints(
            bootstrap_servers=f"127.0.0.1:{state.kafka_port}",
            clickhouse_url=f"http://127.0.0.1:{state.clickhouse_port}",
            user=OWNER,
            password=Secret(state.owner_password),
            reader=READER,
            reader_password=Secret(state.reader_password),
            registry_url=f"http://127.0.0.1:{state.registry_port}{CONFLUENT_PATH}" if registry else "",
            dashboard_url=f"http://{LOOPBACK}:{state.dashboard_port}",
            config_file=self.config_file,
        )

    def _process_status(self, process: ProcessState, state: StackState | None) -> ProcessStatus:
        path = self.supervisor.log_path(process.name)
        if state is None or process.name not in _WITH_ADDRESS:
            return ProcessStatus(process, None, "", path)
        endpoints = self._endpoints(state, registry=True)
        probes: dict[str, tuple[str, Callable[[], bool]]] = {
            "kafka": (endpoints.bootstrap_servers, partial(broker_answers, state.kafka_port)),
            "clickhouse": (endpoints.clickhouse_url, partial(engine_answers, state.clickhouse_port)),
            "registry": (endpoints.registry_url, partial(registry_answers, state.registry_port)),
            "dashboard": (endpoints.dashboard_url, partial(http_answers, state.dashboard_port, "/")),
        }
        address, probe = probes[process.name]
        return ProcessStatus(process, process.alive and probe(), address, path)

    def _wait_for_remains(self, state: StackState) -> None:
        """After a crash of supervisord its children are dying: wait until they have released their ports."""
        if not self.supervisor.is_stale():
            return
        log.warning("the stack of %s ended without being stopped; recovering", self.home)
        deadline = Deadline.after(_STALE_SECONDS, time.monotonic())
        ports = (
            state.kafka_port,
            state.controller_port,
            state.clickhouse_port,
            state.registry_port,
            state.dashboard_port,
        )
        while any(port and answers(port) for port in ports) and not deadline.passed(time.monotonic()):
            time.sleep(0.05)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        path = self.home / "stack.lock"
        with ExitStack() as cleanup:
            try:
                # A home that has become read-only can still be stopped: a lock needs no writing.
                lock = os.open(path, os.O_RDONLY | (0 if path.exists() else os.O_CREAT), 0o600)
                cleanup.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                text = f"another runbus command is starting or stopping the stack of {self.home}: wait for it to end."
                raise RunBusError(text) from error
            except OSError as error:
                raise RunBusError(f"cannot lock the stack of {self.home}: {error}.") from error
            yield


_PREPARE = "topics and tables"
_FULL = "no space is left at {}; what was started is stopped again. Free some space or set RUNBUS_HOME to another disk."
_ENGINES = frozenset({"kafka", "clickhouse", "registry"})
_WITH_ADDRESS = _ENGINES | {"dashboard"}


def _config_text(endpoints: Endpoints, user: str, password: Secret) -> str:
    text = f"""\
# Written by 'runbus up': the addresses of the local stack. It holds a password.
[kafka]
bootstrap_servers = "{endpoints.bootstrap_servers}"

[clickhouse]
url = "{endpoints.clickhouse_url}"
user = "{user}"
password = "{password.reveal()}"
database = "{DATABASE}"

[dashboard]
address = "{endpoints.dashboard_url.removeprefix("http://")}"
"""
    return text + (f'\n[registry]\nurl = "{endpoints.registry_url}"\n' if endpoints.registry_url else "")
