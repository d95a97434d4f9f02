"""Keeps processes running by supervisord, which restarts them with backoff and rotates a log for each.

supervisord is driven over XML-RPC on a Unix socket. Each process dies with it (`runbus.local.child`), so a killed
supervisord leaves nothing behind. It holds a lock as long as it lives. From `start` to `keep` it ends when its
starter does, however that ends (`runbus.local.supervisord`).
"""

import fcntl
import hashlib
import http.client
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.local.child import PARENT_VARIABLE, wrap
from runbus.local.env import stack_environment
from runbus.local.paths import save_private
from runbus.local.process import ProgramSpec, last_lines
from runbus.local.supervisord import KEEP

log = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux
_START_SECONDS = 15
_RPC_SECONDS = 10
_LOOK_SECONDS = 0.05

# A process that ends within 3 s of its start counts as failed; supervisord then waits 1, 2, 3... s between tries,
# 20 times, and gives up (FATAL, shown by `runbus status`). One that ran longer is started again at once.
_PROGRAM = """
[program:{name}]
command={command}
directory={directory}
autostart=false
autorestart=true
startsecs=3
startretries=20
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
priority={priority}
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""

# Paths are relative to its working directory, the home: supervisord expands "%" in some of them twice.
_DAEMON = """\
; Written by runbus at every start.
[supervisord]
nodaemon=true
silent=true
pidfile=run/supervisord.pid
logfile=logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
childlogdir=run

[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process now. `state`: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""

    name: str
    state: str
    pid: int
    uptime_seconds: float

    @property
    def alive(self) -> bool:
        """Return whether it runs now (ready or not)."""
        return self.state in {"STARTING", "RUNNING"}


class Supervisor:
    """The supervisord of one stack; it may or may not be running. Every call looks at what is there now."""

    def __init__(self, home: Path) -> None:
        """`home` holds its configuration and socket (`run/`) and the logs (`logs/`)."""
        self.home = home
        self.logs = home / "logs"
        self._run = home / "run"
        self.socket = _socket_path(self._run)
        self._starting = self._run / "starting"
        self._lock_file = self._run / "supervisord.lock"
        self._pipe: int | None = None

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.logs / f"{name}.log"

    def is_running(self) -> bool:
        """Return whether supervisord answers and is not ending."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Fault):
            return False
        return True

    def is_stale(self) -> bool:
        """Return whether supervisord died without cleaning up: its socket is there, its process is not."""
        return self.socket.exists() and not self.is_running() and not self._is_locked()

    def settle(self, seconds: float) -> bool:
        """Wait until one that is ending has ended, then tell whether one runs. One whose starter was killed is ending.

        After `seconds` it is killed, and what it runs with it.
        """
        deadline = Deadline.after(seconds, time.monotonic())
        while self._is_locked() and (self._starting.exists() or not self.is_running()):
            if deadline.passed(time.monotonic()):
                self._kill()
            time.sleep(_LOOK_SECONDS)
        return self.is_running()

    def start(self, services: Iterable[tuple[ProgramSpec, int]], *, tied: bool) -> None:
        """Start supervisord with `(service, priority)` pairs, none of them started yet.

        It ends with this process until `keep`. After that, `tied`: it dies with this process, however that ends
        (call it from the main thread). Otherwise it outlives this process and its terminal. Its processes inherit
        `stack_environment` and what their service adds. Raises RunBusError if it does not come up.
        """
        self.configure(services)
        self.socket.unlink(missing_ok=True)
        self._starting.touch()
        output = self.logs / "supervisord.out.log"
        with output.open("wb") as stream, self._lock() as lock:
            pipe, self._pipe = os.pipe()
            starter = (str(lock), str(pipe), str(self._starting))
            argv = (sys.executable, "-m", "runbus.local.supervisord", *starter, "-c", str(self._configuration))
            try:
                process = subprocess.Popen(
                    wrap(argv) if tied else argv,
                    env={**stack_environment(os.environ), PARENT_VARIABLE: str(os.getpid())},
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock, pipe),
                )
            finally:
                os.close(pipe)
        deadline = Deadline.after(_START_SECONDS, time.monotonic())
        while not self.is_running():
            if process.poll() is not None or deadline.passed(time.monotonic()):
                process.kill()
                process.wait()
                raise RunBusError(f"the process supervisor did not start.{last_lines(output)}")
            time.sleep(_LOOK_SECONDS)
        process.returncode = 0  # not waited for here, see `stop`; spares the warning about a child left running

    def keep(self) -> None:
        """Let the supervisord that `start` started outlive this process. Raises RunBusError if it has ended."""
        assert self._pipe is not None
        deadline = Deadline.after(_RPC_SECONDS, time.monotonic())
        with suppress(BrokenPipeError):
            os.write(self._pipe, KEEP)
        while self._starting.exists():
            if not self._is_locked() or deadline.passed(time.monotonic()):
                raise RunBusError(f"the process supervisor ended.{last_lines(self.log_path('supervisord'))}")
            time.sleep(_LOOK_SECONDS)
        self._release()

    def configure(self, services: Iterable[tuple[ProgramSpec, int]]) -> None:
        """Write the configuration for `(service, priority)` pairs; a running supervisord reads it in `adopt`."""
        for directory in (self.logs, self._run, self.socket.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = _DAEMON.format(socket=_escape(self.socket))
        programs = (self._program(service, priority) for service, priority in services)
        self._configuration.write_text(text + "".join(programs), encoding="utf-8")

    def adopt(self) -> None:
        """Make the running supervisord know the processes that `configure` added."""
        ((added, _changed, _removed),) = cast("Any", self._call("reloadConfig"))
        for name in added:
            self._call("addProcessGroup", name)

    def launch(self, name: str) -> bool:
        """Start a process; returns when it is spawned, not when it is ready. False: it runs already."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultString.startswith("ALREADY_STARTED"):
                return False
            output = last_lines(self.log_path(name))
            raise RunBusError(f"cannot start {name}: {fault.faultString}.{output}") from fault
        except OSError as error:
            output = last_lines(self.log_path("supervisord"))
            raise RunBusError(f"cannot start {name}: its supervisor does not answer ({error}).{output}") from error
        return True

    def halt(self, name: str) -> None:
        """Ask a process to stop; returns at once."""
        try:
            self._call("stopProcess", name, False)
        except (OSError, xmlrpc.client.Fault) as error:
            log.debug("%s was not running: %s", name, error)

    def processes(self) -> dict[str, ProcessState]:
        """Return the state of every process by name; empty if supervisord is not running."""
        try:
            infos = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        except (OSError, xmlrpc.client.Fault):  # a Fault: it is ending
            return {}
        return {str(info["name"]): _process_state(info) for info in infos}

    def is_busy(self, name: str) -> bool:
        """Return whether a process runs, starts or stops."""
        process = self.processes().get(name)
        return process is not None and process.state not in {"STOPPED", "EXITED", "FATAL"}

    def pid(self) -> int | None:
        """Return the process id of supervisord, None if it is not running."""
        if self._is_locked() and (locker := self._locker()):
            return locker  # whether it answers or not
        try:
            return int(cast("int", self._call("getPID")))
        except (OSError, xmlrpc.client.Fault):
            return None

    def stop(self, seconds: float) -> bool:
        """Stop every process and supervisord; returns False if nothing ran.

        What did not end within `seconds` is killed.
        """
        pid = self.pid()
        if pid is not None:
            with suppress(OSError, xmlrpc.client.Fault):  # it may be ending already
                self._call("shutdown")
        self._release()
        deadline = Deadline.after(seconds, time.monotonic())
        while self._is_locked() or (pid is not None and _exists(pid)):
            if deadline.passed(time.monotonic()):
                self._kill()
            time.sleep(_LOOK_SECONDS)
        self._clean_up()
        return pid is not None

    def _release(self) -> None:
        """Close the pipe to what `start` started; it ends unless `keep` has written to it."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)

    @contextmanager
    def _lock(self) -> Iterator[int]:
        """Yield the descriptor of the locked lock file. The child that inherits it holds the lock from then on."""
        with self._lock_file.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file.fileno()

    def _is_locked(self) -> bool:
        """Return whether a supervisord of this home lives, whether it answers or not."""
        try:
            with self._lock_file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _locker(self) -> int | None:
        """Return the process id that the holder of the lock wrote, None if it has not written it yet."""
        text = self._lock_file.read_text(encoding="ascii").strip()
        return int(text) if text.isdigit() else None

    def _kill(self) -> None:
        pid = self.pid()
        log.warning("the supervisor of %s did not end: killing process %s", self.home, pid)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _clean_up(self) -> None:
        with suppress(OSError):  # a home that has become read-only
            self._starting.unlink(missing_ok=True)
            self.socket.unlink(missing_ok=True)
        if self.socket.parent != self._run and self.socket.parent.is_dir():
            self.socket.parent.rmdir()

    @property
    def _configuration(self) -> Path:
        return self._run / "supervisord.conf"

    def _environment(self, service: ProgramSpec) -> Path | None:
        if not service.env:
            return None
        # Not in supervisord's own configuration: its parser has no way to write a double quote.
        path = self._run / f"{service.name}.environment.json"
        save_private(path, json.dumps(dict(service.env)))
        return path

    def _program(self, service: ProgramSpec, priority: int) -> str:
        return _PROGRAM.format(
            name=service.name,
            command=_escape(shlex.join(wrap(service.argv, self._environment(service)))),
            directory=_escape(service.cwd or self.home),
            stop_signal=service.stop_signal.name.removeprefix("SIG"),
            stop_seconds=round(service.stop_seconds),
            priority=priority,
        )

    def _call(self, method: str, *arguments: object) -> object:
        """Ask supervisord. Raises OSError if it does not answer, Fault if it refuses."""
        try:
            with xmlrpc.client.ServerProxy("http://unix", transport=_UnixTransport(self.socket)) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (http.client.HTTPException, xmlrpc.client.ProtocolError, ExpatError) as error:
            raise ConnectionError(f"the process supervisor broke off: {error}") from error


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # what the base class closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_RPC_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_RPC_SECONDS)
        self.sock.connect(str(self._path))


def _socket_path(run: Path) -> Path:
    path = run / "supervisor.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    # Too deep for a socket's address: a directory that only this user can enter, named after the real one.
    name = f"runbus-{os.getuid()}-{hashlib.sha256(os.fsencode(run)).hexdigest()[:12]}"
    return Path(tempfile.gettempdir(), name, "supervisor.sock")


def _process_state(info: dict[str, Any]) -> ProcessState:
    uptime = float(info["now"] - info["start"]) if info["statename"] == "RUNNING" else 0.0
    return ProcessState(info["name"], info["statename"], info["pid"], uptime)


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _exists(pid: int) -> bool:
    try:
        # Collect it if it is our own child: a zombie would seem to run.
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
