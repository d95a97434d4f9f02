"""Tombstones of a compacted topic as rows: each is one, whatever its key is."""

from runbus.kafka.model import TopicPartition
from runbus.schemas.avsc import schema
from runbus.schemas.events import Annotation
from runbus.sink import values
from runbus.sink.api import FramedRecord, Route
from runbus.sink.records import framed
from runbus.sink.routes import ROUTES

AT = TopicPartition("annotations", 0)
ROUTE = next(route for route in ROUTES if route.topic == "annotations")


def tombstone(key: bytes | None, route: Route = ROUTE) -> FramedRecord:
    """Return one as it is read."""
    return framed(route, AT, 7, key, None, 5, dict)


def test_a_tombstone_is_the_removal_of_what_its_key_names() -> None:
    """The same bytes each time it is read, so a replay inserts the same."""
    record = tombstone(b"r/a//0/3//note/5c1a")
    assert record == tombstone(b"r/a//0/3//note/5c1a")
    assert values.rows(ROUTE, record, schema(Annotation.SCHEMA)) == 1
    assert values.event(ROUTE, record, schema(Annotation.SCHEMA)) == Annotation(
        run_id="r", agent_id="a", env=0, episode=3, kind="note", name="5c1a", sent_at=5_000, removed=True
    )


def test_a_tombstone_that_names_nothing_is_what_it_was() -> None:
    """It becomes a dead letter, as a record without a value of every other topic does."""
    for record in (
        tombstone(b"r"),
        tombstone(None),
        *(tombstone(b"r//////tag/t", route) for route in ROUTES if route.topic in ("steps", "runs")),
    ):
        assert (record.value, record.ref) == (None, None)
