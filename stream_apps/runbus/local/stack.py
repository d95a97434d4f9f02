"""The local stack as one thing: ``up``, ``down``, ``status``. Data, ports and passwords survive restarts.

Order of a start: engines, until they answer; then the caller's preparation (topics, migrations); then the apps.
"""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from runbus.config.errors import RunBusError
from runbus.config.secret import Secret
from runbus.config.sources import FILE_NAME, cache
from runbus.local.clickhouse import OWNER, READER, ClickHouseOptions, clickhouse_service, engine_answers
from runbus.local.kafka import KafkaOptions, broker_answers, kafka_service
from runbus.local.paths import enough_space, save_private, writable_directory
from runbus.local.ports import answers, choose
from runbus.local.process import ProcessSpec, wait_ready
from runbus.local.registry import CONFLUENT_PATH, RegistryOptions, registry_answers, registry_service
from runbus.local.state import StackState, load_state, save_state
from runbus.local.supervision import ProcessState, Supervisor

log = logging.getLogger(__name__)

DATABASE = "runbus"
_ENGINE_PRIORITY, _APP_PRIORITY = 10, 100  # supervisord stops the highest number first
_STOP_SECONDS = 90.0
_STALE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack starts. A port of 0 is chosen: the last one if still free, else any. ``tied``: see ``Stack.up``."""

    kafka_port: int = 0
    clickhouse_port: int = 0
    registry: bool = False
    registry_port: int = 0
    tied: bool = False
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class StackProcess:
    """Describes a process of RunBus that runs on the engines of the stack, for example the sink.

    ``environment`` is added to what every process of the stack gets.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a running stack. ``registry_url`` is empty without a registry.

    ``started`` names what the ``up`` that returns this has started: empty when everything ran already.
    """

    bootstrap_servers: str
    clickhouse_url: str
    user: str
    password: Secret
    reader: str
    reader_password: Secret
    registry_url: str
    config_file: Path
    started: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process: what supervisord says, whether it answers (None: it has no address), where its log is."""

    process: ProcessState
    ready: bool | None
    address: str
    log: Path


@dataclass(frozen=True, slots=True)
class StackStatus:
    """``running``: supervisord is up. ``stale``: it died without cleaning up; the next ``up`` recovers."""

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
        self._state_file = self.home / "stack.json"

    def up(self, apps: Sequence[StackProcess] = (), prepare: Callable[[Endpoints], None] | None = None) -> Endpoints:
        """Bring everything up and return the addresses once all engines answer; what runs already is left alone.

        ``prepare`` runs between the engines and the apps, at every call: it must be repeatable. With
        ``options.tied`` everything dies with this process; otherwise it outlives it. If anything fails in a start
        from nothing, including Ctrl-C, everything is stopped again.
        Raises RunBusError for what the user can mend.
        """
        writable_directory(self.home, "RUNBUS_HOME")
        enough_space(self.home, "RUNBUS_HOME")
        with self._alone():
            fresh = not self.supervisor.is_running()
            try:
                return self._start(apps, prepare, fresh=fresh)
            except BaseException:
                if fresh:
                    self._stop()
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

    def _start(
        self, apps: Sequence[StackProcess], prepare: Callable[[Endpoints], None] | None, *, fresh: bool
    ) -> Endpoints:
        state = load_state(self._state_file)
        if fresh:
            self._wait_for_remains(state)
            state = self._choose_ports(state)
            save_state(self._state_file, state)
        registry = self._has_registry(fresh=fresh)
        engines = self._engines(state, registry=registry)
        services = [(engine, _ENGINE_PRIORITY) for engine in engines]
        services += [(self._app(app), _APP_PRIORITY) for app in apps]
        if fresh:
            self.supervisor.start(services, tied=self.options.tied)
        else:
            self.supervisor.configure(services)
            self.supervisor.adopt()
        started = [engine.name for engine in engines if self.supervisor.launch(engine.name)]
        for engine in engines:
            wait_ready(engine, self.supervisor.log_path(engine.name), partial(self._is_alive, engine.name))
        endpoints = self._endpoints(state, registry=registry)
        save_private(self.config_file, _config_text(endpoints))
        if prepare is not None:
            prepare(endpoints)
        started += [app.name for app in apps if self.supervisor.launch(app.name)]
        return replace(endpoints, started=tuple(started))

    def _has_registry(self, *, fresh: bool) -> bool:
        """A running stack keeps what it was started with: its apps read once whether there is a registry."""
        if fresh:
            return self.options.registry
        runs = "registry" in self.supervisor.processes()
        if self.options.registry and not runs:
            text = f"the stack of {self.home} runs without a schema registry: run `runbus down` first."
            raise RunBusError(text)
        return runs

    def _stop(self) -> bool:
        # All apps at once; supervisord would stop them one after the other.
        processes = self.supervisor.processes()
        waiting = [name for name, process in processes.items() if name not in _ENGINES and process.alive]
        for name in waiting:
            self.supervisor.halt(name)
        return self.supervisor.stop(_STOP_SECONDS)

    def _is_alive(self, name: str) -> bool:
        return self.supervisor.processes()[name].alive

    def _choose_ports(self, state: StackState) -> StackState:
        wanted = self.options
        registry_port = choose(wanted.registry_port, state.registry_port, "--registry-port") if wanted.registry else 0
        return replace(
            state,
            kafka_port=choose(wanted.kafka_port, state.kafka_port, "--kafka-port"),
            controller_port=choose(None, state.controller_port, ""),
            clickhouse_port=choose(wanted.clickhouse_port, state.clickhouse_port, "--clickhouse-port"),
            registry_port=registry_port or state.registry_port,
        )

    def _engines(self, state: StackState, *, registry: bool) -> list[ProcessSpec]:
        data, jars = self.home / "data", self.options.cache or cache()
        kafka = KafkaOptions(data / "kafka", state.kafka_port, state.controller_port, jars)
        clickhouse = ClickHouseOptions(
            data / "clickhouse", state.clickhouse_port, state.owner_password, state.reader_password
        )
        services = [kafka_service(kafka), clickhouse_service(clickhouse)]
        if registry:
            services.append(registry_service(RegistryOptions(data / "registry", state.registry_port, jars)))
        return services

    def _app(self, app: StackProcess) -> ProcessSpec:
        environment = {"RUNBUS_HOME": str(self.home), "RUNBUS_CONFIG": str(self.config_file), "PYTHONUNBUFFERED": "1"}
        environment |= app.environment
        return ProcessSpec(app.name, app.argv, lambda: True, environment, self.home, stop_seconds=app.stop_seconds)

    def _endpoints(self, state: StackState, *, registry: bool) -> Endpoints:
        return Endpoints(
            bootstrap_servers=f"127.0.0.1:{state.kafka_port}",
            clickhouse_url=f"http://127.0.0.1:{state.clickhouse_port}",
            user=OWNER,
            password=Secret(state.owner_password),
            reader=READER,
            reader_password=Secret(state.reader_password),
            registry_url=f"http://127.0.0.1:{state.registry_port}{CONFLUENT_PATH}" if registry else "",
            config_file=self.config_file,
        )

    def _process_status(self, process: ProcessState, state: StackState | None) -> ProcessStatus:
        path = self.supervisor.log_path(process.name)
        if state is None or process.name not in _ENGINES:
            return ProcessStatus(process, None, "", path)
        endpoints = self._endpoints(state, registry=True)
        probes: dict[str, tuple[str, Callable[[], bool]]] = {
            "kafka": (endpoints.bootstrap_servers, partial(broker_answers, state.kafka_port)),
            "clickhouse": (endpoints.clickhouse_url, partial(engine_answers, state.clickhouse_port)),
            "registry": (endpoints.registry_url, partial(registry_answers, state.registry_port)),
        }
        address, probe = probes[process.name]
        return ProcessStatus(process, process.alive and probe(), address, path)

    def _wait_for_remains(self, state: StackState) -> None:
        """After a crash of supervisord its children are dying: let go of ports and data before new ones start."""
        if not self.supervisor.is_stale():
            return
        log.warning("the stack of %s ended without being stopped; recovering", self.home)
        deadline = time.monotonic() + _STALE_SECONDS
        ports = (state.kafka_port, state.controller_port, state.clickhouse_port, state.registry_port)
        while any(port and answers(port) for port in ports) and time.monotonic() < deadline:
            time.sleep(0.05)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.home / "stack.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                text = f"another runbus command is starting or stopping the stack of {self.home}: wait for it to end."
                raise RunBusError(text) from error
            yield


_ENGINES = frozenset({"kafka", "clickhouse", "registry"})


def _config_text(endpoints: Endpoints) -> str:
    text = f"""\
# Written by 'runbus up': the addresses of the local stack. It holds a password.
[kafka]
bootstrap_servers = "{endpoints.bootstrap_servers}"

[clickhouse]
url = "{endpoints.clickhouse_url}"
user = "{endpoints.user}"
password = "{endpoints.password.reveal()}"
database = "{DATABASE}"
"""
    return text + (f'\n[registry]\nurl = "{endpoints.registry_url}"\n' if endpoints.registry_url else "")
