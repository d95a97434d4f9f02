"""Encodes what changed as server-sent events, once for all clients that look at the same and are equally far. Pure."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import orjson

from runbus.dashboard.live.hub import Hub

RETRY = b"retry: 250\r\n\r\n"
_MOST_FRAMES = 64

RowOf = Callable[[str, str], Any]


class Frames:
    """Frames of one dashboard.

    Args:
        hub: knows what changed.
        row: makes a row of (channel, key); None = it is gone.
        below: returns the version of the sink's positions, and the positions.
        boot: tells this dashboard from the ones before it: their revisions mean nothing here.
    """

    def __init__(self, hub: Hub, row: RowOf, below: Callable[[], tuple[int, dict[str, int]]], boot: str) -> None:
        self._hub = hub
        self._row = row
        self._below = below
        self._boot = boot
        self._below_at: tuple[int, int] = (-1, 0)  # version, and the revision at which it was first seen
        self._made: OrderedDict[tuple[tuple[str, ...], int, int, int], bytes] = OrderedDict()
        self._rows: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.encoded = 0

    def tick(self) -> int:
        """Close a revision: everything until here may be sent. Return it."""
        version = self._below()[0]
        if version != self._below_at[0]:
            self._hub.revision += 1
            self._below_at = (version, self._hub.revision)
        return self._hub.revision

    def parse(self, since: str) -> int:
        """Return the revision of an id that a client has; 0 = it needs everything."""
        boot, _, revision = since.rpartition(".")
        return int(revision) if boot == self._boot and revision.isdecimal() else 0

    def frame(self, channels: tuple[str, ...], since: int, until: int, skipped: int = 0) -> bytes:
        """Return the event with everything that changed in (since, until], empty if nothing did.

        Args:
            channels: their names; a page gets the part before `/`.
            since: the revision that the client has; 0 = none.
            until: a revision that `tick` returned, or a later one.
            skipped: how many ticks the client has missed.
        """
        if any(self._hub.channel(name).floor > since for name in channels):
            since = 0
        asked = (channels, since, until, skipped)
        made = self._made.get(asked)
        if made is None:
            made = self._made[asked] = self._encode(*asked)
            while len(self._made) > _MOST_FRAMES:
                self._made.popitem(last=False)
        return made

    def beat(self, until: int) -> bytes:
        """Return an event that says only that all is well, and up to where history goes."""
        return self._event({"t": time.time_ns() // 1000, "below": self._below()[1]}, until)

    def forget(self, channel: str) -> None:
        """Drop the rows of a channel that nobody looks at."""
        for known in [known for known in self._rows if known[0] == channel]:
            del self._rows[known]

    def _encode(self, channels: tuple[str, ...], since: int, until: int, skipped: int) -> bytes:
        changes = {name: rows for name in channels if (rows := self._changes(name, since, until))}
        moved = self._below_at[1] > since
        if not changes and since and not moved:
            return b""
        body: dict[str, Any] = {"t": time.time_ns() // 1000}
        if not since:
            body["whole"] = True
        if moved or not since:
            body["below"] = self._below()[1]
        if skipped and since:
            body["skip"] = skipped
        body["up"] = {name.partition("/")[0]: rows for name, rows in changes.items()}
        self.encoded += 1
        return self._event(body, until)

    def _changes(self, name: str, since: int, until: int) -> dict[str, Any]:
        channel = self._hub.channel(name)
        found: dict[str, Any] = dict.fromkeys(channel.gone(since, until)) if since else {}
        for key in channel.changed(since, until):
            found[key] = orjson.Fragment(self._row_bytes(name, key, channel.revision_of(key)))
        return found

    def _row_bytes(self, name: str, key: str, revision: int) -> bytes:
        known = self._rows.get((name, key))
        if known is None or known[0] != revision:
            known = self._rows[name, key] = (revision, orjson.dumps(self._row(name, key)))
        return known[1]

    def _event(self, body: dict[str, Any], until: int) -> bytes:
        data = orjson.dumps(body)
        return b"id: %s.%d\r\nevent: d\r\ndata: %s\r\n\r\n" % (self._boot.encode(), until, data)
