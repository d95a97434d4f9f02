"""Shows a value to a person: bytes, text, and its decoded fields."""

from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.sink.dead_letters.preview import as_text, decoded, hexdump
from tests.unit.dead_letters.retry_setup import RUNS, STEPS, value


def test_bytes_are_shown_sixteen_a_line() -> None:
    """An offset, the bytes, and what of them is printable; a long value is cut."""
    lines = hexdump(b"RunBus \xff\x00|" + bytes(range(97, 113)))
    assert lines[0] == "000000  52 75 6e 42 75 73 20 ff 00 7c 61 62 63 64 65 66  RunBus ..|abcdef"
    assert lines[1] == "000010  67 68 69 6a 6b 6c 6d 6e 6f 70                    ghijklmnop"
    assert hexdump(b"") == []
    assert len(hexdump(bytes(10_000))) == 16
    assert hexdump(b"abc", 2) == ["000000  61 62                                            ab"]


def test_text_that_is_none_is_replaced() -> None:
    """A preview never fails."""
    assert as_text(b"gr\xc3\xb6\xff") == "gr\u00f6\ufffd"


def test_a_readable_batch_shows_its_header() -> None:
    """Whose steps they are, and how many."""
    header, wrong = decoded(value(), STEPS, Codec())
    assert (header["run_id"], header["agent_id"], header["attempt"], header["count"], wrong) == ("r", "a", 7, 6, "")


def test_a_batch_that_contradicts_itself_still_shows_its_header() -> None:
    """The header stands in front; what is wrong behind it is said."""
    header, wrong = decoded(value()[:-3], STEPS, Codec())
    assert header["count"] == 6
    assert "StepBatch" in wrong


def test_an_event_is_shown_whole() -> None:
    """A topic with one event a record has no header."""
    event = RunEvent(run_id="r", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1, host="here")
    found, wrong = decoded(Codec().frame("runs", schema("RunEvent"), event.encode()), RUNS, Codec())
    assert (found["host"], wrong) == ("here", "")


def test_what_cannot_be_read_says_why() -> None:
    """No framing, no value, no registry, no table: each in words."""
    for content, said in (
        (None, "no value"),
        (b"hello", "starts with 68656c6c"),
        (b"\x00\x00\x00\x00\x07x", "SCHEMA_REGISTRY_URL"),
        (b"\xc3\x01" + b"?" * 8, "upgrade RunBus"),
    ):
        found, wrong = decoded(content, STEPS, Codec())
        assert (found, said in wrong) == ({}, True), wrong
    assert "not one that is stored" in decoded(b"x", None, Codec())[1]
