"""Dead letters as a route: wrapped as they are read, and then stored like every other record."""

import contextlib

from runbus.clickhouse.errors import DataError
from runbus.kafka.model import TopicPartition
from runbus.schemas.avsc import schema
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.sink.api import FramedRecord, OffsetRange
from runbus.sink.memory import no_faults
from runbus.sink.protocol import replay
from runbus.sink.ranges import Backlog, RangeLimits
from runbus.sink.records import wrap
from runbus.sink.routes import ROUTES
from tests.unit.sink.sink_setup import Crash, MakeValue, SinkSetup, first_delivery, run

AT = TopicPartition("dead-letters", 0)
ROUTE = next(route for route in ROUTES if route.wrapped)
ODD: list[tuple[bytes | None, dict[str, bytes]]] = [
    (None, {}),
    (b"", {"topic": b"steps", "partition": b"1", "offset": b"7"}),
    (b"\xc3\x01" + schema("StepBatch").fingerprint + b"\xff", {"topic": b"\xff\xfe", "offset": b"x"}),
    (b"\x00\x00\x00\x00\x09", {"": b"", "error": b"\xff"}),
]


def letters() -> tuple[FramedRecord, ...]:
    """Return odd letters with a gap of offsets, as a transaction leaves it."""
    return tuple(wrap(AT, 2 * i, value, headers, key=b"k") for i, (value, headers) in enumerate(ODD))


def test_a_letter_is_wrapped_whole() -> None:
    """The body is a DeadLetter with the value and all headers; its framing is not looked at."""
    for letter, (value, headers) in zip(letters(), ODD, strict=True):
        row = DeadLetterRow.decode(letter.value or b"", schema("DeadLetter"))
        assert (row.value, row.headers) == (value, headers)
        assert (letter.start, letter.steps, letter.key) == (0, 1, b"k")
        assert letter.size > len(value or b"")
    unnamed = DeadLetterRow.decode(letters()[0].value or b"", schema("DeadLetter"))
    assert unnamed.key == "dead-letters-0-0"


def test_letters_are_ranges_like_other_records() -> None:
    """They share a schema, so they are cut by number and size alone."""
    backlog = Backlog(RangeLimits(seconds=0.0), 0)
    for letter in letters():
        assert backlog.add(letter, 0.0)
    span = backlog.take(1.0)
    assert span is not None
    assert [record.offset for record in span.records] == [0, 2, 4, 6]
    assert backlog.take(1.0) is None


def test_every_letter_is_stored_once_whoever_dies(make_value: MakeValue) -> None:
    """An owner dies at each moment; the next one replays: one row a letter, and no letter about a letter."""
    offsets = OffsetRange(0, 6, letters())
    for moment in range(7):
        setup, left = SinkSetup([make_value(0, 1)]), moment

        def script(operation: str, when: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        setup.script(script)
        with contextlib.suppress(Crash):
            run(first_delivery(setup.context(), setup.log.lease(AT), ROUTE, offsets))
        setup.script(no_faults)
        committed = setup.log.committed.get(AT)
        pending = committed.intent if committed else None
        context, lease = setup.context(), setup.log.lease(AT)
        run(
            replay(context, lease, ROUTE, offsets, pending)
            if pending
            else first_delivery(context, lease, ROUTE, offsets)
        )
        assert {row[3]: count for row, count in setup.store.rows_kept.items()} == dict.fromkeys((0, 2, 4, 6), 1)
        assert setup.log.dead_letters == []


def test_a_store_that_calls_a_letter_bad_is_asked_again(make_value: MakeValue) -> None:
    """Every letter decodes, so none is given up for what a store says about it."""
    setup, refusals = SinkSetup([make_value(0, 1)]), 2

    def script(operation: str, when: str) -> None:
        nonlocal refusals
        if operation == "insert dead_letters_landing" and when == "before" and refusals:
            refusals -= 1
            raise DataError("no", 33)

    setup.script(script)
    run(first_delivery(setup.context(), setup.log.lease(AT), ROUTE, OffsetRange(0, 6, letters())))
    assert sum(setup.store.rows_kept.values()) == 4
    assert setup.log.dead_letters == []


def test_only_dead_letters_are_wrapped() -> None:
    """All other topics hold Avro."""
    assert [route.topic for route in ROUTES if route.wrapped] == ["dead-letters"]
    assert [route.topic for route in ROUTES if route.batched] == ["steps", "metrics"]


def test_a_value_that_claims_to_be_a_letter_is_none_where_steps_are_expected() -> None:
    """What a value is depends on its topic: elsewhere a DeadLetter is just another record."""
    setup = SinkSetup([b"\xc3\x01" + schema("DeadLetter").fingerprint + b"x"])
    run(setup.sink(setup.context()))
    assert [letter.error for letter in setup.log.dead_letters] == ["a DeadLetter where a StepBatch is expected"]
