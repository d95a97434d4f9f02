"""Explains in plain words why a connection failed; the driver's own text names objects and attempts."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPException, RemoteDisconnected

from urllib3.exceptions import InvalidChunkLength, NameResolutionError, ReadTimeoutError
from urllib3.exceptions import SSLError as TlsError

from runbus.config.terminal import printable

_ADDRESS = re.compile(r"\((https?://[^)\s]+)\)")


def reason(error: BaseException) -> str:
    """Return the address, if the driver names it, and the reason, for example `connection refused`."""
    where = next((found[1] for cause in causes(error) if (found := _ADDRESS.search(str(cause)))), "")
    return f" at {where}: {_why(error)}" if where else f": {_why(error)}"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all its causes, the outermost first, each once."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or any(found is other for other in seen):
            continue
        seen.append(found)
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]


def _why(error: BaseException) -> str:
    found = list(causes(error))
    for kind, words in _WORDS:
        for cause in found:
            if isinstance(cause, kind):
                return words(cause)
    system = next((c for c in found if isinstance(c, OSError) and c.strerror), None)
    return _lower(str(system.strerror)) if system is not None else _plain(found[-1])


def _tls(cause: BaseException) -> str:
    text = str(cause)
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "PACKET_LENGTH_TOO_LONG" in text:
        return "no TLS is spoken there (an address with https:// on a port for http://?)"
    found = re.search(r"certificate verify failed: ([^(\n]+)", text)
    return f"certificate verify failed: {found[1].strip()}" if found else f"TLS failed: {_plain(cause)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _plain(cause: BaseException) -> str:
    return printable(str(cause)) or type(cause).__name__


def _always(words: str) -> Callable[[BaseException], str]:
    return lambda _: words


# The first kind among the causes is the reason: a certificate before the closed connection that follows.
_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Callable[[BaseException], str]], ...] = (
    ((ssl.SSLError, TlsError), _tls),
    ((socket.gaierror, NameResolutionError), _always("the host's name is not known")),
    (ConnectionRefusedError, _always("connection refused")),
    ((RemoteDisconnected, ConnectionResetError, BrokenPipeError), _always("the other end closed the connection")),
    ((ReadTimeoutError, TimeoutError), _always("no answer in time")),
    (InvalidChunkLength, _always("the answer was cut off")),
    (HTTPException, _always("what answers there does not speak HTTP")),
)
