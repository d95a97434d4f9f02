"""Moves a stream app in one partition: says what becomes of its state, without Kafka.

The state of an app is where it stands now, not where it stood at any offset before. So a position in the past is
only right for an agent whose every record lies behind it (an agent, because an attempt ends the ones before it):

- An agent that **begins** at or behind the new position is computed anew: the state of its streams is deleted, and all
  of their records are read again. The core is called with the same records in the same order, so it returns the same.
- An agent that began **before** it is kept: its state stays, and its records up to the old position change nothing,
  because the state holds them already (`shard.py` skips them). So is one whose beginning is not in the log any more.
- Stream time goes back to that of the new position, so that what is computed anew waits as long as it did.

Which records the state of a user's app comes from is known to its core alone, unless its keys are streams
(`by_stream`). A position in the past deletes all of it: the app is computed anew from there.

A position ahead deletes nothing. What is between is not read: a stream that has steps there has a gap, and its
episodes say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.schemas.codec import framing
from runbus.schemas.walk import number
from runbus.streams.api import Change
from runbus.streams.shard import FENCE_KEY, KEPT_PREFIX, POSITION_KEY, SavedPosition


class SeenRecord(NamedTuple):
    """What a reset needs of a record of `steps`.

    Attributes:
        offset: its offset.
        appended_ms: the broker's time.
        stream: whose steps it has; None = it cannot be read.
        first_seq: the first of them.
    """

    offset: int
    appended_ms: int
    stream: StreamId | None = None
    first_seq: int = 0


@dataclass(frozen=True, slots=True)
class NewPosition:
    """Where an app is to stand in one partition.

    Attributes:
        topic_id: of the source now.
        offset: the next offset to take.
        beginning: first offset of the log.
    """

    topic_id: str
    offset: int
    beginning: int


@dataclass(frozen=True, slots=True)
class StateReset:
    """What a reset writes, in one transaction.

    Attributes:
        changes: of the state, its new position among them.
        anew: streams that are computed anew, as far as they are known; of a state with other keys, its entries.
        kept: streams of which records are read again that change nothing.
    """

    changes: list[Change]
    anew: int = 0
    kept: int = 0


Agent = tuple[str, str]


@dataclass(slots=True)
class _Seen:
    """What the records from the beginning of the log up to the old position say."""

    before: set[Agent] = field(default_factory=set)
    behind: dict[StreamId, int] = field(default_factory=dict)  # and the first seq of the first record there
    time_ms: int | None = None


def saved_position(entries: Mapping[bytes, bytes], topic_id: str) -> SavedPosition | None:
    """Return where a state stands; None = there is none, or it is of another topic. Raises ValueError, KeyError."""
    data = entries.get(POSITION_KEY)
    saved = None if data is None else SavedPosition.decode(data)
    return saved if saved is not None and saved.topic_id == topic_id else None


def reset_state(
    entries: Mapping[bytes, bytes], to: NewPosition, log: Iterable[SeenRecord], *, by_stream: bool = True
) -> StateReset:
    """Return what moves a state to another position.

    Args:
        entries: the state, as the changelog holds it.
        to: where.
        log: the records from the beginning of the log up to the old position; not read unless the way is back, and for
            offset 0, where every stream begins behind it, only up to the first one. So is it for a state that is not
            `by_stream`, whose log may begin at the new position.
        by_stream: each key of the state is a stream.

    Raises:
        ValueError, KeyError: the state is none of this version.
    """
    saved = saved_position(entries, to.topic_id)
    if saved is None:
        return StateReset([*_deleted(entries), _position(to, 0)])
    if to.offset >= saved.next_offset:
        return StateReset([_position(to, saved.watermark_ms)])
    if to.offset == 0 or not by_stream:
        first = next((record for record in log if record.offset >= to.offset), None)
        changes = _deleted(entries)
        time_ms = saved.watermark_ms if first is None else first.appended_ms
        return StateReset([*changes, _position(to, time_ms)], len(_streams_in(entries)))
    return _back(entries, saved, to, _seen(to.offset, log))


def _back(entries: Mapping[bytes, bytes], saved: SavedPosition, to: NewPosition, log: _Seen) -> StateReset:
    began_before = log.before | _cut_off(entries, to, log)
    anew = {stream for stream in log.behind if stream[:2] not in began_before}
    kept = log.behind.keys() - anew
    changes = []
    for stream in anew:
        key = str(stream).encode()
        changes += [Change(found, None) for found in (key, KEPT_PREFIX + key) if found in entries]
    for stream in kept:
        key = KEPT_PREFIX + str(stream).encode()
        if key not in entries:  # else a reset before this one kept it, and its state goes further
            changes.append(Change(key, str(saved.next_offset).encode()))
    time_ms = saved.watermark_ms if log.time_ms is None else log.time_ms
    return StateReset([*changes, _position(to, time_ms)], len(anew), len(kept))


def _cut_off(entries: Mapping[bytes, bytes], to: NewPosition, log: _Seen) -> set[Agent]:
    """Return the agents whose first records retention has deleted: a stream lacks its first step, or is not there."""
    if to.beginning == 0:
        return set()
    there = {str(stream).encode() for stream in log.behind}
    gone = {_agent(key) for key in _streams_in(entries) if key not in there}
    return gone | {stream[:2] for stream, first_seq in log.behind.items() if first_seq > 0}


def _agent(key: bytes) -> Agent:
    """Return the agent of a stream's key; of a key that is none, nobody."""
    run_id, _, rest = key.decode(errors="replace").partition("/")
    return run_id, rest.rpartition("/")[0]


def _seen(offset: int, log: Iterable[SeenRecord]) -> _Seen:
    found = _Seen()
    for record in log:
        if record.offset >= offset and found.time_ms is None:
            found.time_ms = record.appended_ms
        if record.stream is None:
            continue
        if record.offset < offset:
            found.before.add(record.stream[:2])
        else:
            found.behind.setdefault(record.stream, record.first_seq)
    return found


def _streams_in(entries: Mapping[bytes, bytes]) -> list[bytes]:
    return [key for key in entries if key not in (POSITION_KEY, FENCE_KEY) and not key.startswith(KEPT_PREFIX)]


def _deleted(entries: Mapping[bytes, bytes]) -> list[Change]:
    return [Change(key, None) for key in entries if key not in (POSITION_KEY, FENCE_KEY)]


def _position(to: NewPosition, watermark_ms: int) -> Change:
    return Change(POSITION_KEY, SavedPosition(to.topic_id, to.offset, watermark_ms).encode())


def seen(offset: int, appended_ms: int, value: bytes | None) -> SeenRecord:
    """Return what a reset needs of a record, from its header and without decoding it.

    The header's order is part of the wire format: run_id, agent_id, attempt, first_seq.
    """
    found = framing(value)
    if found is None or value is None:
        return SeenRecord(offset, appended_ms)
    try:
        run_id, at = _text(value, found.start)
        agent_id, at = _text(value, at)
        attempt, at = number(value, at)
        first_seq, _ = number(value, at)
    except (IndexError, ValueError, InvalidValue):
        return SeenRecord(offset, appended_ms)
    return SeenRecord(offset, appended_ms, StreamId(run_id, agent_id, attempt), first_seq)


def _text(value: bytes, at: int) -> tuple[str, int]:
    length, at = number(value, at)
    if not 0 <= length <= len(value) - at:
        raise ValueError(f"a text of {length} bytes")
    return value[at : at + length].decode(), at + length
