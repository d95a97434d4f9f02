"""Decides which letters may be retried, by the letter, the topics and the committed offset."""

import pytest

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import TopicPartition
from runbus.sink.dead_letters.eligibility import LetterOrigin, RetryEligibility
from runbus.sink.routes import ROUTES

AT = TopicPartition("p.steps", 1)
LETTER = LetterOrigin("p.steps", "id-1", 1, 10)


def eligibility(committed: Committed | None, topic_id: str | None = "id-1") -> RetryEligibility:
    """Return a gate for topics with the prefix `p.`."""
    ids = {} if topic_id is None else {"p.steps": topic_id}
    return RetryEligibility({f"p.{route.topic}": route for route in ROUTES}, ids, {AT: committed})


@pytest.mark.parametrize(
    "committed",
    [
        Committed(11, Intent("id-1")),
        Committed(11, Intent("id-1", hi=99)),  # a range behind it is under way
        Committed(5000, None),  # another tool moved it on
    ],
)
def test_a_letter_that_the_sink_has_passed_may_be_retried(committed: Committed) -> None:
    """The committed offset is the next one to be inserted: the letter's is below it."""
    assert eligibility(committed).obstacle(LETTER) == ""


@pytest.mark.parametrize(
    ("committed", "stands"),
    [
        (None, "has not begun with p.steps:1"),
        (Committed(10, Intent("id-1")), "stands at offset 10 of p.steps:1"),
        (Committed(4, Intent("id-1", hi=20)), "stands at offset 4 of p.steps:1"),
        (Committed(11, Intent("id-0")), "has not begun with p.steps:1"),  # of a topic that had this name before
    ],
)
def test_a_letter_that_the_sink_may_still_store_has_to_wait(committed: Committed | None, stands: str) -> None:
    """It says what the sink has committed and what to wait for."""
    said = eligibility(committed).obstacle(LETTER)
    assert stands in said
    assert "run until it is past offset 10, then retry" in said


def test_the_topic_must_be_the_one_of_the_letter() -> None:
    """A position in a topic that is gone, or was created again, does not tell what the sink has committed now."""
    passed = Committed(11, Intent("id-2"))
    assert "p.steps is gone" in eligibility(passed, None).obstacle(LETTER)
    assert "created again (id-1 in the letter, id-2 now)" in eligibility(passed, "id-2").obstacle(LETTER)
    assert "no id in the letter" in eligibility(passed, "id-2").obstacle(LetterOrigin("p.steps", "", 1, 10))


@pytest.mark.parametrize("topic", ["steps", "p.live-metrics", "p.dead-letters", "other"])
def test_only_stored_topics_have_tables(topic: str) -> None:
    """A topic without a table cannot be stored; the reason names the prefix."""
    said = eligibility(None).obstacle(LetterOrigin(topic, "id-1", 1, 10))
    assert f"{topic} is not one that is stored" in said
    assert "RUNBUS_TOPIC_PREFIX" in said


def test_what_was_never_in_the_log_has_no_place() -> None:
    """A step that a recorder could not send has no offset."""
    assert "never in the log" in eligibility(None).obstacle(LetterOrigin("p.steps", "", -1, -1))
