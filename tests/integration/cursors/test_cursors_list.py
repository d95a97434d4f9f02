"""`runbus cursors list` and `show` say what the broker knows, of both group protocols."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.kafka.settings import KafkaSettings
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.cursors.user_groups import PROTOCOLS, commit, member, send

pytestmark = [pytest.mark.integration]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_is_shown_as_the_broker_has_it(protocol: str, settings: KafkaSettings, command: CursorsCommand) -> None:
    """State, protocol, members, positions, owners and lag of a user's group, while it lives and when it is gone."""
    name, steps = f"{settings.topic_prefix}page", settings.topic_prefix + "steps"
    send(settings, {0: 10, 1: 5})
    with member(settings, name, protocol) as consumer:
        consumer.commit(offsets=[TopicPartition(steps, 0, 4), TopicPartition(steps, 1, 5)], asynchronous=False)
        groups = command.groups()
        assert {groups[settings.topic_prefix + own]["state"] for own in ("sink", "episodes", "live-metrics")} == {
            "missing"
        }
        one = groups[name]
        assert (one["state"], one["protocol"], one["members"]) == ("stable", protocol, 1)
        assert (one["kind"], one["committed"], one["end"], one["lag_events"]) == ("user", 9, 15, 6)
        positions = command.positions(name)
        assert {at: (p["committed"], p["end"], p["lag_events"]) for at, p in positions.items()} == {
            (steps, 0): (4, 10, 6),
            (steps, 1): (5, 5, 0),
        }
        owner = positions[steps, 0]["owner"]
        assert (owner["client_id"], owner["host"]) == ("page", "127.0.0.1")
        assert positions[steps, 1]["lag_ms"] == 0
    gone = command.groups()[name]
    assert (gone["state"], gone["members"], gone["lag_events"]) == ("empty", 0, 6)
    assert gone["lag_ms"] > one["lag_ms"] > 0  # nothing moves: it grows
    assert command.positions(name)[steps, 0]["owner"] is None


def test_what_retention_deleted_unread_is_said(settings: KafkaSettings, command: CursorsCommand) -> None:
    """The log begins behind the committed offset: how much nobody read, and what is left, from there."""
    name, steps = f"{settings.topic_prefix}slow", settings.topic_prefix + "steps"
    send(settings, {0: 10, 1: 3})
    commit(settings, name, {0: 2, 1: 3})
    admin = AdminClient({**settings.client_config()})
    (deleted,) = admin.delete_records([TopicPartition(steps, 0, 6)]).values()
    deleted.result(30)
    found = command.positions(name)[steps, 0]
    assert (found["committed"], found["beginning"], found["deleted_unread"], found["lag_events"]) == (2, 6, 4, 4)
    assert "4 deleted unread" in command.run("show", name)
    assert command.groups()[name]["deleted_unread"] == 4


def test_a_group_that_nobody_knows_is_one_sentence(command: CursorsCommand) -> None:
    """`show` of a wrong name says where the right ones are."""
    assert "no group 'nobody' has a position here: `runbus cursors list`" in command.refused("show", "nobody")


def test_a_group_that_reads_other_topics_only_is_not_listed(settings: KafkaSettings, command: CursorsCommand) -> None:
    """The broker's other users are not shown."""
    name = f"{settings.topic_prefix}idle"
    with member(settings, name, "classic"):
        assert name not in command.groups()


def test_no_broker_is_one_sentence(command: CursorsCommand) -> None:
    """An address where nothing listens."""
    away = CursorsCommand({**command.env, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, command.folder)
    assert "no Kafka broker answers at 127.0.0.1:1" in away.refused("list")
