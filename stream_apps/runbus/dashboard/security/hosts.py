"""Decides under which names a browser may reach the page; pure.

A page of somebody else can let its own name resolve to this machine and then read what is served here, as the same
origin (DNS rebinding). Its requests carry that name: so only known names are answered. An address in numbers is never
somebody else's name.
"""

from __future__ import annotations

import ipaddress

LOOPBACK = "127.0.0.1"
_LOCAL = "localhost"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens at `host`, a name or an address."""
    if host.lower() == _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_known(header: str, names: frozenset[str]) -> bool:
    """Return whether the value of a Host header, `host` or `host:port`, is one that the page answers to.

    Args:
        header: as it came; empty = there was none.
        names: of the settings, in lower case.
    """
    host = _host(header)
    if host == _LOCAL or host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host(header: str) -> str:
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")
