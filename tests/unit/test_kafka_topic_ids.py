"""Which topic stands behind a name: what is missing, and what the broker does not say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.kafka.model import LogUnavailable
from runbus.kafka.topic_ids import kafka_ids, topic_ids
from runbus.service.topic_watch import TopicReplaced, watch_topics


class Admin:
    """Describes the topics that it was given: their id, an error, or nothing in time."""

    def __init__(self, topics: dict[str, str | BaseException]) -> None:
        self._topics = topics

    def describe_topics(self, names: TopicCollection, request_timeout: float) -> dict[str, Future[Any]]:
        """Return a future of each name."""
        assert request_timeout > 0
        found: dict[str, Future[Any]] = {}
        for name in cast("Sequence[str]", names.topic_names):
            found[name] = Future()
            known = self._topics.get(name, KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
            if isinstance(known, BaseException):
                found[name].set_exception(known)
            else:
                found[name].set_result(SimpleNamespace(topic_id=known))
        return found


def admin(**topics: str | BaseException) -> AdminClient:
    """Return a client that knows these topics."""
    return cast("AdminClient", Admin(topics))


def test_a_missing_topic_is_absent() -> None:
    """The others have their ids."""
    assert topic_ids(admin(a="1", b="2"), ["a", "b", "c"]) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("error", [TimeoutError(), KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))])
def test_a_broker_that_does_not_say_is_no_missing_topic(error: BaseException) -> None:
    """No answer and no right are errors: the caller asks again, or names the right."""
    with pytest.raises(KafkaException):
        topic_ids(admin(a=error), ["a"])
    with pytest.raises(LogUnavailable if isinstance(error, TimeoutError) else RunBusError):
        asyncio.run(kafka_ids(admin(a=error), ["a"]))


@pytest.mark.parametrize(
    ("now", "same"), [({"a": "1"}, True), ({"a": "2"}, False), ({}, True), ({"a": TimeoutError()}, True)]
)
def test_a_process_goes_on_unless_its_topic_is_another_one(
    monkeypatch: pytest.MonkeyPatch, now: dict[str, str | BaseException], same: bool
) -> None:
    """A topic that is gone, or that cannot be described, is not known to be another one."""
    monkeypatch.setattr("runbus.service.topic_watch._ASK_S", 0.0)
    with pytest.raises(TimeoutError if same else TopicReplaced):
        asyncio.run(asyncio.wait_for(watch_topics(admin(**now), {"a": "1"}), 0.2))
