"""Follows what the watchdog says on the topic `heartbeats`, for tests that do something and wait for its words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runbus.kafka.settings import KafkaSettings
from runbus.reader import Heartbeat, Reader

Document = Mapping[str, Any]
#: Far more than it ever takes: a test on a slow machine waits, and says in the end what the watchdog said last.
PATIENCE_S = 90.0


class Reports:
    """The reports of one watchdog, as they come."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.seen: list[Document] = []

    def next(self) -> Document:
        """Return the next report."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            event = self._reader.poll(1.0)
            if isinstance(event, Heartbeat) and event.kind == "watchdog":
                found: Document = json.loads(event.detail)
                self.seen.append(found)
                return found
        raise AssertionError("the watchdog says nothing")

    def until(self, what: str, fits: Callable[[Document], bool], seconds: float = PATIENCE_S) -> float:
        """Return after how many seconds a report fitted."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if fits(self.next()):
                return time.monotonic() - began
        raise AssertionError(f"{what}: the last report is {json.dumps(self.seen[-1:], indent=1)}")

    def during(self, seconds: float) -> list[Document]:
        """Return the reports of the next seconds."""
        began, first = time.monotonic(), len(self.seen)
        while time.monotonic() - began < seconds:
            self.next()
        return self.seen[first:]


@contextmanager
def reports(settings: KafkaSettings) -> Iterator[Reports]:
    """Yield what the watchdog says from now on."""
    with Reader(topics="heartbeats", start="latest", settings=settings) as reader:
        yield Reports(reader)


def findings(document: Document, about: str = "") -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the findings of a report about a subject that has a text in it, by subject and word."""
    return {(f["subject"], f["what"]): f for f in document["findings"] if about in f["subject"]}


def state_of(document: Document, about: str) -> str:
    """Return the worst state of the findings about a subject; OK if there is none."""
    order = ["OK", "WARN", "STALL", "STOP", "REWIND"]
    return max((f["state"] for f in findings(document, about).values()), key=order.index, default="OK")


def alarms(documents: list[Document]) -> list[Mapping[str, Any]]:
    """Return every finding that was an alarm in one of the reports."""
    return [f for document in documents for f in document["findings"] if f["alarm"]]
