"""Both framings, written and read; everything else is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.codec import Codec, Fingerprint, Registry, RegistryId, split
from runbus.schemas.errors import RegistryMissing, UnknownSchema

BODY = b"\x01\x02body"


class _Ids:
    """A registry that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        self.asked.append((topic, schema.name))
        return 0x01020304

    def schema(self, schema_id: int) -> AvroSchema:
        self.asked.append(schema_id)
        return schema("StepBatch")


def test_single_object_encoding_as_avro_specifies_it() -> None:
    """Without a registry: C3 01, the little-endian fingerprint, the body."""
    value = Codec().frame("steps", schema("StepBatch"), BODY)
    assert value == b"\xc3\x01" + schema("StepBatch").fingerprint + BODY
    assert Codec().open(value, "StepBatch") == (schema("StepBatch"), BODY)


def test_confluent_framing() -> None:
    """With a registry: 00, the big-endian id, the body; it opens with the schema of that id."""
    registry: Registry = _Ids()
    codec = Codec(registry)
    value = codec.frame("steps", schema("StepBatch"), BODY)
    assert value == b"\x00\x01\x02\x03\x04" + BODY
    assert codec.open(value, "StepBatch") == (schema("StepBatch"), BODY)


def test_a_codec_with_a_registry_reads_both_framings() -> None:
    """A topic may change its framing: readers take both."""
    value = Codec().frame("steps", schema("RunEvent"), BODY)
    assert Codec(_Ids()).open(value, "RunEvent") == (schema("RunEvent"), BODY)


def test_the_id_is_asked_once_per_topic_and_schema() -> None:
    """Framing a thousand bodies asks the registry once, and once more for another topic."""
    ids = _Ids()
    codec = Codec(ids)
    for _ in range(1000):
        codec.frame("steps", schema("StepBatch"), BODY)
    codec.frame("other", schema("StepBatch"), BODY)
    assert ids.asked == [("steps", "StepBatch"), ("other", "StepBatch")]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_body_is_split_from_its_frame(name: str) -> None:
    """The frame alone is a value with an empty body: what is wrong with it is the record's business."""
    value = Codec().frame("t", schema(name), b"")
    assert split(value) == (Fingerprint(schema(name).fingerprint), 10)
    assert Codec().open(value, name)[1] == b""


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"\x00\x00\x00\x01",
        b"\xc3",
        b"\xc3\x01",
        b"\xc3\x01" + bytes(7),
        b"\xc3\x02" + bytes(20),
        b"\x01\x00\x00\x00\x01body",
        b"{}",
        b"Obj\x01",
    ],
)
def test_what_has_no_frame_is_refused(value: bytes | None) -> None:
    """Null, empty, cut and foreign values raise InvalidValue from split and open."""
    with pytest.raises(InvalidValue, match="neither"):
        split(value)
    with pytest.raises(InvalidValue, match="neither"):
        Codec().open(value, "StepBatch")


@given(
    st.binary(max_size=30), st.sampled_from([b"", b"\xc3\x01", b"\x00", b"\xc3\x01" + schema("RunEvent").fingerprint])
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_value_opens_or_says_why_not(rest: bytes, mark: bytes) -> None:
    """Nothing but InvalidValue, UnknownSchema and RegistryMissing; what opens is the end of the value."""
    value = mark + rest
    with contextlib.suppress(InvalidValue, UnknownSchema, RegistryMissing):
        writer, body = Codec().open(value, "RunEvent")
        assert writer.name == "RunEvent"
        assert value == value[:10] + body


def test_another_record_is_refused() -> None:
    """A Heartbeat in the steps topic is InvalidValue, and says what it is."""
    value = Codec().frame("steps", schema("Heartbeat"), BODY)
    with pytest.raises(InvalidValue, match="a Heartbeat where a StepBatch"):
        Codec().open(value, "StepBatch")


def test_an_unknown_fingerprint_says_to_upgrade() -> None:
    """A fingerprint that no shipped schema has is UnknownSchema: a newer version wrote it."""
    with pytest.raises(UnknownSchema, match=r"fingerprint 2a2a2a2a2a2a2a2a: .*upgrade"):
        Codec().open(b"\xc3\x01" + b"*" * 8 + BODY, "StepBatch")


def test_an_id_without_a_registry_says_what_to_set() -> None:
    """Confluent framing cannot be read without a registry: a setting is missing, and the error names it."""
    with pytest.raises(RegistryMissing, match=r"no registry is set: .* schema id 7; set SCHEMA_REGISTRY_URL"):
        Codec().open(b"\x00\x00\x00\x00\x07" + BODY, "StepBatch")
    assert str(RegistryId(7)) == "schema id 7"
    assert not issubclass(RegistryMissing, UnknownSchema | InvalidValue)  # readers skip those, never this one
