"""Chooses TCP ports on the loopback interface; one clear error if the one asked for is taken."""

import errno
import secrets
import socket
import urllib.request

from runbus.config.errors import RunBusError

LOOPBACK = "127.0.0.1"


# Below what systems give to outgoing connections (Linux from 32768, others from 49152): one of these takes a port of
# theirs between our look and a server's start, and a busy machine makes thousands.
_SERVERS = range(20_000, 32_768)
_TRIES = 100


def free_port() -> int:
    """Return a port that nothing listens on now. Another process may take it later: bind soon."""
    for _ in range(_TRIES):
        port = _SERVERS[secrets.randbelow(len(_SERVERS))]  # whatever seed a program gives to `random`
        if _is_unused(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_unused(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` now."""
    try:
        listen(port, "port").close()
    except RunBusError:
        return False
    return True


def answers(port: int, timeout: float = 0.5) -> bool:
    """Return whether something accepts connections on `port`."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def http_answers(port: int, path: str) -> bool:
    """Return whether an HTTP server on `port` answers a GET of `path` with a 2xx status."""
    if not answers(port):
        return False
    # Not urllib's default opener: a proxy of the environment does not reach the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{LOOPBACK}:{port}{path}", timeout=2) as response:
            return 200 <= int(response.status) < 300
    except OSError:  # urllib's errors are OSErrors
        return False


def listen(port: int, option: str) -> socket.socket:
    """Bind `port` and return the socket; `option` is what the user changes to pick another one.

    Raises RunBusError if the port is taken or not allowed.
    """
    # REUSEADDR as servers do: connections of a predecessor in TIME_WAIT do not count as taken.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((LOOPBACK, port))
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} is in use by another process. Stop it, or choose another with {option}."
            raise RunBusError(text) from error
        raise RunBusError(f"cannot listen on port {port}: {error.strerror}. Choose another with {option}.") from error
    except OverflowError as error:
        server.close()
        raise RunBusError(f"{port} is no TCP port. Choose one of 1-65535 with {option}.") from error
    return server


def choose(wanted: int | None, preferred: int | None, option: str) -> int:
    """Pick a port: the `wanted` one or an error, else the `preferred` one if still free, else any free one."""
    if wanted:
        listen(wanted, option).close()
        return wanted
    if preferred and is_free(preferred):
        return preferred
    return free_port()
