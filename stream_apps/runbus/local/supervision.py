"""Supervised processes: supervisord keeps them running, restarts them with backoff and rotates a log for each.

supervisord is driven over XML-RPC on a Unix socket. Each process dies with it (``runbus.local.child``), so a killed
supervisord leaves nothing behind.
"""

import hashlib
import http.client
import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from runbus.config.errors import RunBusError
from runbus.local.child import PARENT_VARIABLE, wrap
from runbus.local.env import stack_environment
from runbus.local.paths import save_private
from runbus.local.process import ProcessSpec, last_lines

log = logging.getLogger(__name__)

_SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux
_START_SECONDS = 15
_RPC_SECONDS = 10

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
    """What supervisord knows. ``state``: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""

    name: str
    state: str
    pid: int
    uptime_seconds: float
    description: str

    @property
    def alive(self) -> bool:
        """Tell whether it runs now (ready or not)."""
        return self.state in {"STARTING", "RUNNING"}


class Supervisor:
    """The supervisord of one stack; it may or may not be running. Every call looks at what is there now."""

    def __init__(self, home: Path) -> None:
        """``home`` holds its configuration and socket (``run/``) and the logs (``logs/``)."""
        self.home = home
        self.logs = home / "logs"
        self._run = home / "run"
        self.socket = _socket_path(self._run)

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.logs / f"{name}.log"

    def is_running(self) -> bool:
        """Tell whether supervisord answers."""
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def is_stale(self) -> bool:
        """Tell whether supervisord died without cleaning up: its socket is there and nobody answers."""
        return self.socket.exists() and not self.is_running()

    def start(self, services: Iterable[tuple[ProcessSpec, int]], *, tied: bool) -> None:
        """Start supervisord with ``(service, priority)`` pairs, none of them started yet.

        ``tied``: it dies with this process, however that ends (call it from the main thread). Otherwise it outlives
        this process and its terminal. Its processes inherit ``stack_environment`` and what their service adds.
        Raises RunBusError when it does not come up.
        """
        self.configure(services)
        self.socket.unlink(missing_ok=True)
        output = self.logs / "supervisord.out.log"
        argv = (sys.executable, "-m", "runbus.local.supervisord", "-c", str(self._configuration))
        with output.open("wb") as stream:
            process = subprocess.Popen(
                wrap(argv) if tied else argv,
                env={**stack_environment(os.environ), PARENT_VARIABLE: str(os.getpid())},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise RunBusError(f"the process supervisor did not start.{last_lines(output)}")
            time.sleep(0.05)
        process.returncode = 0  # not waited for here, see `stop`; spares the warning about a child left running

    def configure(self, services: Iterable[tuple[ProcessSpec, int]]) -> None:
        """Write the configuration for ``(service, priority)`` pairs; a running supervisord reads it in ``adopt``."""
        for directory in (self.logs, self._run, self.socket.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = _DAEMON.format(socket=_escape(self.socket))
        programs = (self._program(service, priority) for service, priority in services)
        self._configuration.write_text(text + "".join(programs), encoding="utf-8")

    def adopt(self) -> None:
        """Make the running supervisord know the processes that ``configure`` added."""
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
        return True

    def halt(self, name: str) -> None:
        """Ask a process to stop; returns at once."""
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            log.debug("%s was not running: %s", name, fault.faultString)

    def processes(self) -> dict[str, ProcessState]:
        """Return the state of every process by name; empty when supervisord is not running."""
        try:
            infos = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        except OSError:
            return {}
        return {str(info["name"]): _process_state(info) for info in infos}

    def pid(self) -> int | None:
        """Return the process id of supervisord, None when it is not running."""
        try:
            return int(cast("int", self._call("getPID")))
        except OSError:
            return None

    def stop(self, seconds: float) -> bool:
        """Stop every process and supervisord; returns False when nothing ran.

        Raises RunBusError when it does not end within ``seconds``.
        """
        pid = self.pid()
        if pid is None:
            self._remove_socket()
            return False
        self._call("shutdown")
        deadline = time.monotonic() + seconds
        while _exists(pid):
            if time.monotonic() > deadline:
                raise RunBusError(f"the stack did not stop within {seconds:.0f} s; its supervisor is process {pid}.")
            time.sleep(0.05)
        self._remove_socket()
        return True

    def _remove_socket(self) -> None:
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self._run and self.socket.parent.is_dir():
            self.socket.parent.rmdir()

    @property
    def _configuration(self) -> Path:
        return self._run / "supervisord.conf"

    def _environment(self, service: ProcessSpec) -> Path | None:
        if not service.env:
            return None
        # Not in supervisord's own configuration: its parser has no way to write a double quote.
        path = self._run / f"{service.name}.environment.json"
        save_private(path, json.dumps(dict(service.env)))
        return path

    def _program(self, service: ProcessSpec, priority: int) -> str:
        return _PROGRAM.format(
            name=service.name,
            command=_escape(shlex.join(wrap(service.argv, self._environment(service)))),
            directory=_escape(service.cwd or self.home),
            stop_signal=service.stop_signal.name.removeprefix("SIG"),
            stop_seconds=round(service.stop_seconds),
            priority=priority,
        )

    def _call(self, method: str, *arguments: object) -> object:
        with xmlrpc.client.ServerProxy("http://unix", transport=_UnixTransport(self.socket)) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


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
    return ProcessState(info["name"], info["statename"], info["pid"], uptime, info["description"])


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _exists(pid: int) -> bool:
    try:
        # Collect it when it is our own child, else it stays as a zombie and seems to live on.
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
