"""Where the probes listen, as the setting says it."""

from __future__ import annotations

import re
from typing import NamedTuple

from runbus.config.catalogue import PROBES_ADDRESS
from runbus.config.errors import ConfigError

LOCAL = "127.0.0.1"


class Address(NamedTuple):
    """A host and a TCP port; 0 = a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def probes_address(text: str) -> Address | None:
    """Return what RUNBUS_PROBES_ADDRESS says; None = off.

    Args:
        text: `host:port`, `[IPv6]:port`, `:port` or `port` (both: 127.0.0.1), or nothing.

    Raises:
        ConfigError: anything else.
    """
    if not text:
        return None
    found = re.fullmatch(r"(?:(?P<six>\[[0-9a-fA-F:.]+\])|(?P<host>[\w.-]*)):(?P<port>\d+)|(?P<only>\d+)", text)
    port = int(found["port"] or found["only"]) if found else -1
    if found is None or not 0 <= port <= 65535:
        raise ConfigError(f"{PROBES_ADDRESS.env}={text!r} is not an address like 127.0.0.1:9464")
    return Address((found["six"] or "").strip("[]") or found["host"] or LOCAL, port)
