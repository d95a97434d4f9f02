"""Reads the address of the probes from its setting."""

from __future__ import annotations

from typing import NamedTuple

from runbus.config.address import host_and_port
from runbus.config.catalogue import PROBES_ADDRESS

LOCAL = "127.0.0.1"


class Address(NamedTuple):
    """A host and a TCP port; 0 = a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def probes_address(text: str) -> Address | None:
    """Return the address of RUNBUS_PROBES_ADDRESS; None = off.

    Args:
        text: `host:port`, `[IPv6]:port`, `:port` or `port` (both: 127.0.0.1), or nothing.

    Raises:
        ConfigError: anything else.
    """
    if not text:
        return None
    host, port = host_and_port(PROBES_ADDRESS.env, text)
    return Address(host or LOCAL, port)
