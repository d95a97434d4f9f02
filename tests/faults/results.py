"""What came out of an app, read back as any consumer reads it, against what must come out of the log."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, LiveMetrics
from tests.faults import expected
from tests.faults.load import Load
from tests.faults.stream_workers import DEADLINE_S, EXAMPLE
from tests.support.topic_reader import TopicReader

Found = dict[Any, expected.Values]
_SHOWN = 5


def settle(kind: str, settings: KafkaSettings, load: Load, seconds: float = DEADLINE_S) -> None:
    """Wait until the results equal what the log asks for; fail with the difference, or at once where one is double."""
    log = TopicReader(settings)
    found = expected.streams(log.read("steps"), log.read("runs"))
    reference, read = _SIDES[kind]
    wanted: Found = {**reference(found)}
    end = time.monotonic() + seconds
    while True:
        got = read(log, wanted)
        if got == wanted:
            break
        if time.monotonic() > end:
            pytest.fail(f"{kind} differs from the log {seconds:.0f} s after its end:\n{difference(got, wanted)}")
        time.sleep(0.5)
    check_dead_letters(kind, settings, load)


def episodes(log: TopicReader, wanted: Found) -> Found:
    """Return the newest revision of each episode, without its number; fail if a revision is there twice or missing."""
    revisions: dict[str, list[EpisodeFinalized]] = {}
    for message in log.read("episodes"):
        event = EpisodeFinalized.decode(Codec().open(message.value(), "EpisodeFinalized")[1])
        revisions.setdefault(event.id, []).append(event)
    wrong = {
        name: [event.revision for event in events]
        for name, events in revisions.items()
        if [event.revision for event in events] != list(range(1, len(events) + 1))
    }
    if wrong:
        pytest.fail(f"revisions that are double, missing or out of order: {dict(list(wrong.items())[:_SHOWN])}")
    return {name: _values(events[-1], {"id", "revision"}) for name, events in revisions.items()}


def live(log: TopicReader, wanted: Found) -> Found:
    """Return the last totals of each stream: the fields that are wanted of it."""
    found: Found = {}
    for message in log.read("live-metrics"):
        event = LiveMetrics.decode(Codec().open(message.value(), "LiveMetrics")[1])
        key = (event.run_id, event.agent_id, event.attempt)
        values = _values(event, set())
        found[key] = {name: values[name] for name in wanted.get(key, values)}
    return found


def success_rates(log: TopicReader, wanted: Found) -> Found:
    """Return everything that was said of each stream, in the order of the topic."""
    found: Found = {}
    for message in log.read("success-rate"):
        said = json.loads(message.value() or b"")
        key = (said.pop("run"), said.pop("agent"), said.pop("attempt"))
        found.setdefault(key, {"said": []})["said"].append(said)
    return found


#: Kind -> what must come out of a log, and what came out.
_SIDES: dict[str, tuple[Callable[[dict[expected.StreamKey, expected.Stream]], Found], Callable[..., Found]]] = {
    "episodes": (expected.episodes, episodes),
    "live-metrics": (expected.live, live),
    EXAMPLE: (expected.success_rates, success_rates),
}


def _values(event: Any, without: set[str]) -> expected.Values:
    return {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name not in without}


def check_dead_letters(kind: str, settings: KafkaSettings, load: Load) -> None:
    """Fail unless exactly the records that nobody can use are dead letters, once each, with the reason."""
    log = TopicReader(settings)
    why = {str(sent.value): sent.error for sent in load.poison}
    name = f"{settings.topic_prefix}steps"
    wanted = {
        f"{name}-{message.partition()}-{message.offset()}".encode(): (message.value(), why[str(message.value())])
        for message in log.read("steps")
        if str(message.value()) in why
    }
    letters = log.read("dead-letters")
    assert sorted(str(letter.key()) for letter in letters) == sorted(str(key) for key in wanted)
    for letter in letters:
        value, error = wanted[letter.key() or b""]
        headers = dict(letter.headers() or [])
        assert letter.value() == value
        assert error in str(headers["error"])
        assert headers["component"] == kind.encode()


def difference(got: Found, wanted: Found) -> str:
    """Return what is missing, what is too much, and what differs, a few of each."""
    lines = [
        f"{len(got)} there, {len(wanted)} wanted",
        *(f"missing: {wanted[key]}" for key in list(wanted.keys() - got.keys())[:_SHOWN]),
        *(f"too much: {got[key]}" for key in list(got.keys() - wanted.keys())[:_SHOWN]),
    ]
    differing = [key for key in got.keys() & wanted.keys() if got[key] != wanted[key]]
    lines.append(f"{len(differing)} differ")
    for key in differing[:_SHOWN]:
        fields = {n: (got[key][n], wanted[key][n]) for n in wanted[key] if got[key][n] != wanted[key][n]}
        lines.append(f"{key}: (there, wanted) {fields} in {wanted[key]}")
    return "\n".join(lines)
