"""The catalogue of topics, the keys, and which ids make a key that is only theirs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.kafka.topics import (
    DEAD_LETTERS,
    EPISODES_STATE,
    HEARTBEATS,
    LIVE_METRICS_STATE,
    MAX_MESSAGE_BYTES,
    RUNS,
    STEPS,
    TOPICS,
    Topic,
    check_id,
    run_event_key,
    stream_key,
)
from runbus.schemas.avsc import NAMES


def test_the_names_and_cleanup_are_the_contract() -> None:
    """ResourceNames, cleanup and partitioning are what other parts and people rely on."""
    assert {t.name: (t.cleanup, t.partitioned) for t in TOPICS} == {
        "runs": ("compact", True),
        "steps": ("delete", True),
        "metrics": ("delete", True),
        "episodes": ("delete", True),
        "live-metrics": ("compact,delete", True),
        "heartbeats": ("compact,delete", False),
        "dead-letters": ("delete", False),
        "control": ("compact,delete", False),
        "annotations": ("compact", False),
        "episodes-state-changelog": ("compact", True),
        "live-metrics-state-changelog": ("compact", True),
    }


def test_every_record_has_a_topic() -> None:
    """Each schema of the package is the value of exactly one topic."""
    assert sorted(t.schema for t in TOPICS if t.schema) == sorted(NAMES)


def test_a_dead_letter_holds_the_largest_message() -> None:
    """A message of the largest size fits into a dead letter, with its headers."""
    assert int(STEPS.config()["max.message.bytes"]) == MAX_MESSAGE_BYTES
    assert int(DEAD_LETTERS.config()["max.message.bytes"]) >= MAX_MESSAGE_BYTES + 64 * 1024


def test_short_retention_has_short_segments() -> None:
    """Kafka deletes closed segments only: what is kept for hours must not stay open for a week."""
    for topic in TOPICS:
        if 0 < topic.retention_ms <= HEARTBEATS.retention_ms:
            assert int(topic.config()["segment.ms"]) <= topic.retention_ms
    assert RUNS.config()["retention.ms"] == "-1"


def test_what_stream_time_is_read_from_has_the_brokers_clock() -> None:
    """The broker dates what it is asked the order of, whatever an agent's clock says; others keep their writer's."""
    dated = {t.name for t in TOPICS if t.config()["message.timestamp.type"] == "LogAppendTime"}
    assert dated == {"steps", "metrics", "runs", "control", "annotations", "heartbeats"} | {
        t.name for t in (EPISODES_STATE, LIVE_METRICS_STATE)
    }


@pytest.mark.parametrize("topic", [EPISODES_STATE, LIVE_METRICS_STATE], ids=lambda t: t.name)
def test_state_is_compacted_early_and_kept(topic: Topic) -> None:
    """A changelog never expires, closes segments soon that hold any message, shows a tombstone for ten minutes."""
    config = topic.config()
    assert (config["retention.ms"], config["cleanup.policy"]) == ("-1", "compact")
    assert int(config["segment.bytes"]) == int(config["max.message.bytes"])
    assert (int(config["segment.ms"]), int(config["delete.retention.ms"])) == (60_000, 600_000)
    assert float(config["min.cleanable.dirty.ratio"]) <= 0.1


def test_the_keys() -> None:
    """A stream's key is run_id/agent_id; a run event's has the attempt too."""
    assert stream_key("lauf-ä", "a b") == "lauf-ä/a b".encode()
    assert run_event_key("run", "agent", 17) == b"run/agent/17"


@pytest.mark.parametrize("value", ["run", "a b", "größer-😀", ".", "x" * 255, "C:\\temp", "%2F"])
def test_ids_that_are_fine(value: str) -> None:
    """Any script, spaces and punctuation may stand in an id."""
    check_id("run_id", value)


@pytest.mark.parametrize(
    "value",
    ["", "a/b", "/", "a\x00", "a\nb", "\x1b[31m", "a\x7f", "a\x85", "\ud800", "x" * 256, "ä" * 128, 7, None, b"run"],
)
def test_ids_that_are_refused(value: object) -> None:
    """Slashes, control characters, half surrogate pairs, empty and over-long ids: the text names the field."""
    with pytest.raises(InvalidValue, match="agent_id"):
        check_id("agent_id", value)


def test_a_key_refuses_an_id_that_would_be_ambiguous() -> None:
    """run `a` with agent `b/c` and run `a/b` with agent `c` would be one stream."""
    for run, agent in (("a", "b/c"), ("a/b", "c")):
        with pytest.raises(InvalidValue, match="leave out '/'"):
            stream_key(run, agent)
        with pytest.raises(InvalidValue, match="leave out '/'"):
            run_event_key(run, agent, 1)


_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=4)


@given(_IDS, _IDS)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_key_gives_its_ids_back(run: str, agent: str) -> None:
    """Two streams never share a key: the ids can be read from it."""
    assert tuple(stream_key(run, agent).decode().split("/")) == (run, agent)
