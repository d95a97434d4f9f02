"""Compares the totals of live metrics with what the log asks for: in the app's state, and on its topic.

The state is compared where the app stands. The topic may lag and may lose events, so only its newest event of a stream
is looked at: it must not be ahead of the log, and as far as the log it must say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.kafka.topic_log import TopicLog
from runbus.live_metrics.core import KEEP_FINISHED_MS
from runbus.live_metrics.stream import LiveStream
from runbus.rebuild.apps import Difference, RebuiltApp, Taken
from runbus.rebuild.recomputed import Recomputation
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import LiveMetrics
from runbus.streams.api import Change
from runbus.streams.shard import FENCE_KEY, KEPT_PREFIX, POSITION_KEY, SavedPosition


class _Totals(NamedTuple):
    """What an event says that no clock of ours changes; `rest` is comparable where the counts are the same."""

    steps: int
    episodes: int
    rest: tuple[object, ...]


def live_said(log: TopicLog, codec: Codec) -> Iterator[tuple[str, StreamId, _Totals]]:
    """Yield stream and totals of every record of `live-metrics`; the name is the stream, so the newest one stays."""
    for message in log.records():
        try:
            writer, body = codec.open(message.value(), LiveMetrics.SCHEMA)
            event = LiveMetrics.decode(body, writer)
        except (InvalidValue, UnknownSchema):
            continue
        stream = StreamId(event.run_id, event.agent_id, event.attempt)
        yield str(stream), stream, _totals(event)


def compare_live(
    taken: Taken, computed: Recomputation, counts: Callable[[StreamId], bool], result: RebuiltApp
) -> Iterable[Difference]:
    """Yield what is not as the log asks for; see apps.Compare."""
    state = _streams(taken.state)
    wanted: dict[bytes, bytes] = {}
    _update(wanted, computed.advance(taken.position)[1])
    found = _streams(wanted)
    for stream in sorted(found.keys() | state.keys()):
        if not counts(stream):
            continue
        result.compared += stream in found
        if stream not in state:
            yield Difference("missing", str(stream), stream)
        elif stream not in found:
            yield Difference("false", str(stream), stream)
        elif _of_state(state[stream]) != _of_state(found[stream]):
            yield Difference("different", str(stream), stream)
    later = replace(taken.later, next_offset=computed.end)  # events are sent before their position is saved
    yield from _on_topic(taken, _streams(wanted) | _until_now(later, computed), counts)


def _until_now(later: SavedPosition, computed: Recomputation) -> dict[StreamId, LiveStream]:
    """Return the streams that change up to `later`, and while time passes since: an end is said before it is saved.

    A stream that ended is forgotten after a while, so time passes in steps that are shorter.
    """
    changed: dict[bytes, bytes] = {}
    for now_ms in (*range(later.watermark_ms, _now_ms(), KEEP_FINISHED_MS // 2), _now_ms()):
        changes = computed.advance(replace(later, watermark_ms=now_ms))[1]
        changed |= {change.key: change.value for change in changes if change.value is not None}
    return _streams(changed)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _on_topic(
    taken: Taken, computed: dict[StreamId, LiveStream], counts: Callable[[StreamId], bool]
) -> Iterable[Difference]:
    for name, (stream, content) in taken.topic.items():
        known = computed.get(stream)
        if known is None or not counts(stream):
            continue  # a stream that ended is forgotten after a while
        wanted = _totals(known.metrics(0, {}))
        if content.steps > wanted.steps or content.episodes > wanted.episodes:
            yield Difference("false", f"event of {name}", stream)
        elif content[:2] == wanted[:2] and content.rest != wanted.rest:
            yield Difference("different", f"event of {name}", stream)


def _totals(event: LiveMetrics) -> _Totals:
    rest = (event.dropped, event.newest_ts, repr(event.last_return), event.last_length, sorted(event.reasons.items()))
    return _Totals(event.steps, event.episodes, rest)


def _of_state(stream: LiveStream) -> tuple[object, ...]:
    """Return everything but the times by the broker's clock."""
    received, running = stream.received.encode(), stream.running.encode()
    return (*(stream.steps, stream.dropped, stream.newest_ts, stream.last_offset), received, running, *_of_ends(stream))


def _of_ends(stream: LiveStream) -> tuple[object, ...]:
    return (repr(stream.running.last_return), stream.running.last_length, tuple(stream.running.reasons))


def _update(state: dict[bytes, bytes], changes: Iterable[Change]) -> None:
    for change in changes:
        if change.value is None:
            state.pop(change.key, None)
        else:
            state[change.key] = change.value


def _streams(state: Mapping[bytes, bytes]) -> dict[StreamId, LiveStream]:
    found = (
        LiveStream.decode(key, value)
        for key, value in state.items()
        if key not in (POSITION_KEY, FENCE_KEY) and not key.startswith(KEPT_PREFIX)
    )
    return {stream.id: stream for stream in found}
