"""What a dead letter says in its headers, and that every record of its topic can be a row."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.kafka.headers import START_BYTES, letter_headers, position_key, shortened
from runbus.kafka.topics import DEAD_LETTER_BYTES, DEAD_LETTERS, MAX_MESSAGE_BYTES
from runbus.schemas.avsc import INTERNAL, NAMES, by_fingerprint, schema
from runbus.schemas.dead_letters import DeadLetterRow

OWN = "dead-letters-0-17"


def row(headers: dict[str, bytes], value: bytes | None = b"v", key: bytes | None = b"k") -> DeadLetterRow:
    """Return the row of a letter."""
    return DeadLetterRow.of(OWN, key, value, headers, 1_790_000_000_123)


def test_a_letter_of_a_record_says_where_the_record_is() -> None:
    """Its position is its name, and the key of the record says whose it was."""
    where = {"topic_id": "id-1", "partition": 3, "offset": 2**40}
    found = row(dict(letter_headers("sink", "p.steps", "why", **where, key=b"run/agent", schema_id="schema id 7")))
    assert (found.topic, found.topic_id, found.partition, found.offset) == ("p.steps", "id-1", 3, 2**40)
    assert found.key == position_key("p.steps", 3, 2**40) == "p.steps-3-1099511627776"
    assert (found.component, found.error, found.schema_id) == ("sink", "why", "schema id 7")
    assert (found.run_id, found.agent_id, found.source_key) == ("run", "agent", b"run/agent")
    assert (found.attempt, found.seq, found.count) == (-1, -1, -1)
    assert found.failed_at == 1_790_000_000_123_000


def test_a_letter_of_a_step_that_never_had_a_position_says_whose_it_was() -> None:
    """A recorder names stream and seq; they stand for the position in the letter's name."""
    which = {"run_id": "run", "agent_id": "agent", "attempt": 9, "seq": 4, "count": 1, "key": b"run/agent"}
    found = row(dict(letter_headers("recorder", "p.steps", "too large", **which)))
    assert (found.key, found.partition, found.offset) == ("p.steps-run/agent/9-4", -1, -1)
    assert (found.run_id, found.agent_id, found.attempt, found.seq, found.count) == ("run", "agent", 9, 4, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"topic": b"steps"},
        {"topic": b"steps", "partition": b"1"},
        {"topic": b"", "partition": b"1", "offset": b"1"},
        {"topic": b"steps", "partition": b"-1", "offset": b"1"},
        {"topic": b"steps", "partition": b"4294967296", "offset": b"1"},
        {"topic": b"steps", "partition": b"1", "offset": b"9223372036854775808"},
        {"topic": b"steps", "partition": b" 1", "offset": b"1_0"},
        {"topic": b"steps", "partition": "\u0661".encode(), "offset": b"1"},
        {"topic": b"steps", "run_id": b"r", "agent_id": b"a", "seq": b"many"},
    ],
)
def test_half_a_position_is_none(headers: dict[str, bytes]) -> None:
    """A letter that does not say what it is about is named by its own position, and keeps what it says."""
    found = row(headers)
    assert (found.key, found.partition, found.offset) == (OWN, -1, -1)
    assert found.headers == headers
    assert found.source_key == b"k"


NAMES_OF_HEADERS = st.sampled_from(
    ["topic", "topic_id", "partition", "offset", "component", "run_id", "agent_id", "attempt", "seq", "count", "key"]
)
CONTENTS = st.binary(max_size=40) | st.integers(-(2**65), 2**65).map(lambda n: str(n).encode())


@given(
    headers=st.dictionaries(NAMES_OF_HEADERS | st.text(st.characters(codec="utf-8")), CONTENTS),
    value=st.none() | st.binary(),
    key=st.none() | st.binary(),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
)
def test_any_record_can_be_a_row(
    headers: dict[str, bytes], value: bytes | None, key: bytes | None, timestamp_ms: int
) -> None:
    """Any record of the topic is kept: a dead letter cannot become a dead letter."""
    found = DeadLetterRow.of(OWN, key, value, headers, timestamp_ms)
    assert DeadLetterRow.decode(found.encode(), schema("DeadLetter")) == found
    assert (found.value, found.headers) == (value, headers)


def test_the_largest_message_fits_with_all_its_headers() -> None:
    """A value as large as any topic takes, with a key and an error of some length, is a letter and a row."""
    value = bytes(MAX_MESSAGE_BYTES)
    headers = letter_headers(
        "sink", "t" * 249, "e" * 10_000, topic_id="i" * 22, partition=1, offset=2**62, key=b"k" * 999
    )
    size = len(value) + sum(len(name) + len(content) + 10 for name, content in headers) + 1000
    assert size < DEAD_LETTER_BYTES == int(DEAD_LETTERS.config()["max.message.bytes"])
    assert row(dict(headers), value).value == value


def test_what_no_letter_can_hold_is_shortened_and_says_what_it_was() -> None:
    """The start of the value, cut headers, and size and checksum of the whole; where it is from stays readable."""
    value = bytes(range(256)) * 4096 * 20
    headers = letter_headers("sink", "t", "e" * 5_000, partition=1, offset=2**62, key=b"k" * 2**20)
    start, cut = shortened(value, headers)
    found = dict(cut)
    assert start == value[:START_BYTES]
    assert (found["size"], found["sha256"]) == (b"%d" % len(value), hashlib.sha256(value).hexdigest().encode())
    assert sum(len(name) + len(text) for name, text in cut) < 10_000
    assert row(found, start).key == "t-1-4611686018427387904"


def test_the_schema_is_known_and_not_on_the_wire() -> None:
    """It is found by its fingerprint like all others, and is none of the schemas that may only grow."""
    assert by_fingerprint()[schema("DeadLetter").fingerprint] is schema("DeadLetter")
    assert not set(INTERNAL) & set(NAMES)
    names = [f["name"] for f in json.loads(schema("DeadLetter").text)["fields"]]
    assert names == [f.name for f in dataclasses.fields(DeadLetterRow)]
