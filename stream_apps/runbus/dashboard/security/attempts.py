"""Bounds how often an address may guess the token; pure, time is given."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

#: So many wrong tokens of one address in a minute; then none is looked at for the rest of it.
MOST = 10
WINDOW_S = 60.0
_MOST_ADDRESSES = 10_000


class Attempts:
    """Counts the wrong tokens of each address in its minute; the longest known address is forgotten first."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Return after how many seconds a token of this address is looked at; 0 = now.

        Args:
            address: of the client, as text.
            now: seconds of a clock that only goes forward.
        """
        began, count = self._wrong.get(_network(address), (now, 0))
        return max(0.0, began + WINDOW_S - now) if count >= MOST else 0.0

    def wrong(self, address: str, now: float) -> None:
        """Note a wrong token."""
        network = _network(address)
        began, count = self._wrong.pop(network, (now, 0))
        self._wrong[network] = (now, 1) if now - began >= WINDOW_S else (began, count + 1)
        while len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)


def _network(address: str) -> str:
    """Return what one client has: with IPv6 that is a /64, and not an address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
