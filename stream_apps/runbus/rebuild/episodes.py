"""Compares the topic `episodes` with what the log asks for, by id and revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from hashlib import blake2b

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.kafka.topic_log import TopicLog
from runbus.rebuild.apps import Difference, RebuiltApp, Taken
from runbus.rebuild.recomputed import Recomputation
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import EpisodeFinalized
from runbus.streams.api import Emission

Results = dict[str, tuple[StreamId, bytes]]


def episodes_said(log: TopicLog, codec: Codec) -> Iterator[tuple[str, StreamId, bytes]]:
    """Yield name, stream and content of every record of `episodes`."""
    for message in log.records():
        try:
            writer, body = codec.open(message.value(), EpisodeFinalized.SCHEMA)
            event = EpisodeFinalized.decode(body, writer)
        except (InvalidValue, UnknownSchema):
            continue
        yield _named(event)


def compare_episodes(
    taken: Taken, computed: Recomputation, counts: Callable[[StreamId], bool], result: RebuiltApp
) -> Iterable[Difference]:
    """Yield what is not as the log asks for; see apps.Compare."""
    must = _results(computed.advance(taken.position)[0])
    may = must | _results(computed.advance(taken.later)[0])
    for name, (stream, content) in must.items():
        if not counts(stream):
            continue
        result.compared += 1
        if name not in taken.topic:
            yield Difference("missing", name, stream)
        elif taken.topic[name][1] != content:
            yield Difference("different", name, stream)
    for name, (stream, content) in taken.topic.items():
        if not counts(stream) or name in must:
            continue
        if name not in may:
            yield Difference("false", name, stream)
        elif may[name][1] != content:
            yield Difference("different", name, stream)


def _results(emissions: Iterable[Emission]) -> Results:
    found: Results = {}
    for emission in emissions:
        if isinstance(emission.event, EpisodeFinalized):
            name, stream, content = _named(emission.event)
            found[name] = (stream, content)
    return found


def _named(event: EpisodeFinalized) -> tuple[str, StreamId, bytes]:
    """Return a short name of all that an event says: maps in any order are the same, and NaN is NaN."""
    told = {f.name: getattr(event, f.name) for f in fields(event)}
    text = repr([(name, sorted(v.items()) if isinstance(v, dict) else v) for name, v in told.items()])
    content = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return f"{event.id} {event.revision}", StreamId(event.run_id, event.agent_id, event.attempt), content
