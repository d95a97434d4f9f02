"""The other records of the log: each comes back as it was, or is refused."""

import contextlib
import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.batches import BATCHES
from runbus.schemas.events import (
    Annotation,
    ControlCommand,
    EpisodeFinalized,
    Event,
    Heartbeat,
    LiveMetrics,
    RunEvent,
    Window,
)
from runbus.schemas.record import read_record, write_record
from tests.fuzz.events import KINDS, Events

quick = settings(max_examples=40, deadline=None, derandomize=True)
LONG = st.integers(-(2**63), 2**63 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ID = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=8)
DOUBLE = st.floats(allow_nan=False)
LONGS = st.dictionaries(TEXT, LONG, max_size=3)

RUN_EVENT = RunEvent(
    run_id="run",
    agent_id="agent",
    attempt=1,
    kind="STARTED",
    sent_at=2,
    started_at=1,
    labels={"team": "a"},
    tags=["x", "ä"],
    parent="run/planner/1",
    parent_seq=0,
    logged={"loss": [0.5, math.inf], "none": []},
    commands="[]",
)
EPISODE = EpisodeFinalized(
    id="e",
    revision=1,
    run_id="run",
    agent_id="agent",
    attempt=1,
    env=0,
    episode=0,
    reason="terminated",
    complete=False,
    missing_from=[3],
    missing_to=[4],
    return_=1.5,
    length=9,
    first_seq=0,
    last_seq=9,
    first_ts=1,
    last_ts=2,
    min_reward=-1.0,
    max_reward=math.inf,
    extras_sum={"loss": 0.5},
    labels={"task": "sort", "": "ä"},
    stop="max_turns",
    has_reset=False,
)
WINDOW = Window(
    name="reward", seconds=60, start=1, count=2, sum=3.0, sum_squares=4.0, min=1.0, max=2.0, quantiles=b"\x00\xff"
)
METRICS = LiveMetrics(
    run_id="run",
    agent_id="agent",
    attempt=1,
    sent_at=2,
    newest_ts=3,
    steps=4,
    steps_per_second=5.0,
    episodes=6,
    last_return=7.0,
    running_return=8.0,
    last_length=9,
    running_length=10,
    dropped=11,
    reasons={"terminated": 1},
    positions={"0": 2**62},
    windows=(WINDOW, WINDOW),
)
COMMAND = ControlCommand(
    id="c", run_id="run", agent="", command="set", key="lr", value="0.1", sent_at=1, sent_by="me@here"
)
HEARTBEAT = Heartbeat(component_id="sink-0", kind="sink", sent_at=1, started_at=0, version="0.1.0")
NOTE = Annotation(run_id="run", kind="note", name="n", text="größe", author="me@here", sent_at=1)
EVENTS: list[Event] = [RUN_EVENT, EPISODE, METRICS, HEARTBEAT, COMMAND, NOTE]


def _changed(event: Event, **fields: Any) -> Event:
    return dataclasses.replace(event, **fields)  # type: ignore[type-var]  # every event is a dataclass


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.SCHEMA)
def test_an_event_comes_back(event: Event) -> None:
    """Every kind of event, nested windows and maps included, is equal after the round trip."""
    assert type(event).decode(event.encode()) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.SCHEMA)
def test_the_fields_of_the_class_are_those_of_the_schema(event: Event) -> None:
    """The class has the fields of the schema, in its order: the two cannot drift apart."""
    names = [f.name.rstrip("_") for f in dataclasses.fields(event)]  # type: ignore[arg-type]
    assert names == [f["name"] for f in schema(event.SCHEMA).fields]


def test_every_record_but_the_batches_has_a_class() -> None:
    """The catalogue of schemas and the classes here cover each other."""
    assert {e.SCHEMA for e in EVENTS} | set(BATCHES) == set(NAMES)


@given(st.builds(RunEvent, run_id=ID, agent_id=ID, attempt=LONG, kind=st.sampled_from(["STARTED", "FINISHED"]),
                 sent_at=LONG, started_at=LONG, config=TEXT, produced=LONG, error=TEXT, pid=INT,
                 labels=st.dictionaries(TEXT, TEXT, max_size=3), tags=st.lists(TEXT, max_size=3), parent=TEXT,
                 parent_seq=LONG, logged=st.dictionaries(TEXT, st.lists(DOUBLE, max_size=3), max_size=3)))  # fmt: skip
@quick
def test_any_run_event_comes_back(event: RunEvent) -> None:
    """Texts of any script and integers at their limits come back."""
    assert RunEvent.decode(event.encode()) == event


@given(DOUBLE, LONGS, st.binary(max_size=20), INT)
@quick
def test_any_metrics_come_back(number: float, longs: dict[str, int], sketch: bytes, seconds: int) -> None:
    """Floats, maps and the bytes of a sketch come back exactly."""
    window = dataclasses.replace(WINDOW, sum=number, seconds=seconds, quantiles=sketch)
    event = dataclasses.replace(METRICS, last_return=number, positions=longs, windows=(window,))
    assert LiveMetrics.decode(event.encode()) == event


def test_not_a_number_stays_one() -> None:
    """A NaN return is stored as NaN and not refused."""
    assert math.isnan(EpisodeFinalized.decode(_changed(EPISODE, return_=math.nan).encode()).return_)


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (RUN_EVENT, {"kind": "PAUSED"}),
        (RUN_EVENT, {"attempt": 1.5}),
        (RUN_EVENT, {"attempt": 2**63}),
        (RUN_EVENT, {"attempt": None}),
        (RUN_EVENT, {"pid": 2**31}),
        (RUN_EVENT, {"config": {"a": 1}}),
        (RUN_EVENT, {"config": "\ud800"}),
        (RUN_EVENT, {"run_id": "a/b"}),
        (RUN_EVENT, {"run_id": ""}),
        (RUN_EVENT, {"agent_id": "a\x00"}),
        (RUN_EVENT, {"agent_id": 3}),
        (EPISODE, {"reason": "bored"}),
        (EPISODE, {"complete": 1}),
        (EPISODE, {"missing_from": [1.5]}),
        (EPISODE, {"missing_to": []}),
        (EPISODE, {"missing_from": [1, 2]}),
        (EPISODE, {"extras_sum": {"a": "b"}}),
        (EPISODE, {"return_": "1"}),
        (EPISODE, {"env": 2**31}),
        (METRICS, {"windows": (dataclasses.replace(WINDOW, count=2**63),)}),
        (METRICS, {"positions": {"\ud800": 1}}),
        (METRICS, {"run_id": "a/b"}),
        (HEARTBEAT, {"lag_ms": -0.5}),
        (HEARTBEAT, {"committed": None}),
    ],
    ids=lambda v: str(v)[:30] if isinstance(v, dict) else v.SCHEMA,
)
def test_a_field_that_does_not_fit_is_refused(event: Event, fields: dict[str, Any]) -> None:
    """A wrong type, an integer out of range, an unknown symbol, half a surrogate or a bad id raises InvalidValue."""
    with pytest.raises(InvalidValue):
        _changed(event, **fields).encode()


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.SCHEMA)
def test_every_truncation_and_tail_is_refused(event: Event) -> None:
    """A body cut at any byte, or followed by another, is InvalidValue."""
    body = event.encode()
    for end in range(len(body)):
        with pytest.raises(InvalidValue):
            type(event).decode(body[:end])
    with pytest.raises(InvalidValue, match="1 bytes follow"):
        type(event).decode(body + b"\x00")


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.SCHEMA)
def test_a_flipped_bit_gives_an_event_or_an_error(event: Event) -> None:
    """Each bit flipped: an event that can be written again, or InvalidValue; nothing else."""
    body = event.encode()
    for position in range(len(body) * 8):
        spoilt = bytearray(body)
        spoilt[position // 8] ^= 1 << position % 8
        try:
            found = type(event).decode(bytes(spoilt))
        except InvalidValue:
            continue
        assert len(found.encode()) > 0


@given(st.sampled_from(KINDS), st.integers(0, 2**32))
@quick
def test_damage_gives_an_event_or_an_error(kind: type[Event], seed: int) -> None:
    """Lies, damage and random bytes: an event that can be written again, or InvalidValue; nothing else."""
    source = Events(kind, seed)
    for body in (source.mutated(), source.dice.randbytes(40)):
        with contextlib.suppress(InvalidValue):
            assert kind.decode(kind.decode(body).encode()).encode() == kind.decode(body).encode()


def test_a_missing_range_with_one_end_in_the_log_is_refused() -> None:
    """The table stores ranges as pairs: what has more beginnings than ends would be refused there for ever."""
    record = read_record(EPISODE.encode(), schema("EpisodeFinalized"), schema("EpisodeFinalized"))
    body = write_record(schema("EpisodeFinalized"), {**record, "missing_to": []})
    with pytest.raises(InvalidValue, match="1 missing ranges begin and 0 end"):
        EpisodeFinalized.decode(body)


def test_integers_out_of_range_in_the_log_are_refused() -> None:
    """An int of 2^40 is a record fastavro reads and other Avro readers refuse: so it is refused here."""
    record = read_record(RUN_EVENT.encode(), schema("RunEvent"), schema("RunEvent"))
    with pytest.raises(InvalidValue):
        RunEvent.decode(write_record(schema("RunEvent"), {**record, "pid": 2**40}))


def test_a_newer_writer_is_read_and_an_unreadable_one_refused() -> None:
    """A field this version does not know is left out; a schema without a field it needs is InvalidValue."""
    raw = json.loads(schema("Heartbeat").text)
    record = read_record(HEARTBEAT.encode(), schema("Heartbeat"), schema("Heartbeat"))
    added = {**raw, "fields": [*raw["fields"], {"name": "mood", "type": "string", "default": ""}]}
    newer = AvroSchema.from_json(json.dumps(added))
    assert Heartbeat.decode(write_record(newer, {**record, "mood": "good"}), newer) == HEARTBEAT
    fewer = AvroSchema.from_json(json.dumps({**raw, "fields": raw["fields"][1:]}))
    with pytest.raises(InvalidValue, match="cannot be read by this version"):
        Heartbeat.decode(write_record(fewer, record), fewer)
