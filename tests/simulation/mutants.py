"""Builds sinks that are wrong in one place each: a simulator that does not find them proves nothing.

Each leaves out one thing that the protocol does, which no test without faults would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.dead_letter_rate import DeadLetterRate
from runbus.kafka.model import DeadLetter
from runbus.sink import flow, protocol, session
from runbus.sink.opening import Opening
from runbus.sink.opening import opening as real_opening

Mutant = Callable[[], AbstractContextManager[Any]]
_Delivery = protocol._Delivery


async def _nothing(*_: object, **__: object) -> None:
    return None


@contextmanager
def _announcing_late() -> Iterator[None]:
    """The intent is committed after the insert instead of before it."""
    announce, store_all = _Delivery.announce, _Delivery.store_all

    async def late(self: Any, *, maybe_stored: bool) -> tuple[list[DeadLetter], DeadLetterRate]:
        result = await store_all(self, maybe_stored=maybe_stored)
        await announce(self)
        return result

    with patch.object(_Delivery, "announce", _nothing), patch.object(_Delivery, "store_all", late):
        yield


@contextmanager
def _private_names() -> Iterator[None]:
    """A repair gets a number that no other owner knows."""

    async def fresh(self: Any, group: Any, missing: dict[int, int]) -> None:
        self.intent = replace(self.intent, repair=self.context.rng.getrandbits(30))
        await repair(self, group, missing)

    repair = _Delivery._repair
    with patch.object(_Delivery, "_repair", fresh):
        yield


def _forgetting(committed: Committed | None, topic_id: str, low: int, high: int) -> Opening:
    return replace(real_opening(committed, topic_id, low, high), intent=None)


def _one_name_for_all_topics(self: Any) -> str:
    return f"{self.lease.source}:{self.offsets.lo}-{self.offsets.hi}"


def _no_salt(self: Any) -> str:
    return f"{self.lease.source.topic_id}:{self.lease.source.partition}:{self.offsets.lo}-{self.offsets.hi}"


async def _believe(self: Any, group: Any) -> list[DeadLetter]:
    return []


async def _not_searching(self: Any) -> None:
    self._stored_up_to = -1


async def _finish_anyway(self: Any) -> None:
    await protocol.complete(self._context, self.lease, self.backlog.lo, self._rate)


def _never_overlapping(self: Any, offsets: Any) -> Intent:
    return Intent(self.lease.source.topic_id, offsets.hi, self._context.new_salt(), self._rate)


MUTANTS: dict[str, Mutant] = {
    "an acknowledgement is believed": lambda: patch.object(_Delivery, "_verify", _believe),
    "the intent comes after the insert": _announcing_late,
    "an unfinished range is cut anew": lambda: patch.object(session, "opening", _forgetting),
    "tokens do not know the topic's id": lambda: patch.object(_Delivery, "token", property(_one_name_for_all_topics)),
    "a range that is announced anew has its old token": lambda: patch.object(_Delivery, "token", property(_no_salt)),
    "names of repairs are not agreed upon": _private_names,
    "dead letters are not written": lambda: patch.object(_Delivery, "dead_letter", _nothing),
    "the topic's id is not confirmed": lambda: patch.object(_Delivery, "confirm", _nothing),
    "nobody looks behind the committed offset": lambda: patch.object(flow.Flow, "_find_unannounced", _not_searching),
    "what overlaps is inserted like any range": lambda: patch.object(flow.Flow, "_intent", _never_overlapping),
    "what is under way counts as done": lambda: patch.object(flow.Flow, "finish", _finish_anyway),
}

#: The first seed to try, of those that few seeds find (the first of all: a topic has to be made again between a record
#: and its insert). The next ENOUGH are tried after it as for any other.
FIRST = {
    "the topic's id is not confirmed": 1221,
    "what is under way counts as done": 61,
    "tokens do not know the topic's id": 81,
    "a range that is announced anew has its old token": 121,
    "names of repairs are not agreed upon": 241,
}
