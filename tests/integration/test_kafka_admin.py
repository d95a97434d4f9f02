"""`apply_topics` on a real broker: creates, repeats, corrects, refuses; alone and beside another one."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from runbus.kafka.admin import apply_topics, list_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import BrokerUnavailable, TopicMismatch, TopicRefused
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import TOPICS

pytestmark = pytest.mark.integration


@pytest.fixture
def admin(kafka_settings: KafkaSettings) -> AdminClient:
    """Return a client of the broker."""
    return admin_client(kafka_settings)


def _changes(settings: KafkaSettings, partitions: int = 3) -> set[str]:
    return {change for _, change in apply_topics(settings, partitions)}


def _config(admin: AdminClient, name: str, **expected: str) -> dict[str, str]:
    """Return a topic's configuration once it says what is expected: a broker learns of changes a moment later."""
    deadline = time.monotonic() + 15
    while True:
        (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
        try:
            found = {key: str(entry.value) for key, entry in future.result(15).items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            found = {}
        if found and all(found[key.replace("_", ".")] == value for key, value in expected.items()):
            return found
        assert time.monotonic() < deadline, f"{name} never became {expected}: {found}"
        time.sleep(0.02)


def _set(admin: AdminClient, name: str, **values: str) -> None:
    op = AlterConfigOpType.SET
    entries = [ConfigEntry(key.replace("_", "."), text, incremental_operation=op) for key, text in values.items()]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(15)
    _config(admin, name, **values)


def test_apply_creates_every_topic_and_repeats(kafka_settings: KafkaSettings, admin: AdminClient) -> None:
    """The first apply creates all, as the catalogue says; the second changes nothing."""
    before = list_topics(kafka_settings)
    assert [state.partitions for state in before] == [0] * len(TOPICS)
    assert _changes(kafka_settings) == {"created"}
    assert _changes(kafka_settings) == {"unchanged"}
    for state in list_topics(kafka_settings):
        assert state.name == kafka_settings.topic_prefix + state.topic.name
        assert (state.partitions, state.replication) == (3 if state.topic.partitioned else 1, 1)
        config = _config(admin, state.name)
        for key, value in state.topic.config().items():
            assert sorted(config[key].split(",")) == sorted(value.split(","))


def test_a_configuration_that_drifted_is_corrected(kafka_settings: KafkaSettings, admin: AdminClient) -> None:
    """Retention that somebody changed is set again, on that topic only; what is not ours is left alone."""
    apply_topics(kafka_settings, 1)
    name = f"{kafka_settings.topic_prefix}steps"
    _set(admin, name, retention_ms="1000", min_cleanable_dirty_ratio="0.25")
    assert {n for n, change in apply_topics(kafka_settings, 1) if change == "reconfigured"} == {name}
    _config(admin, name, retention_ms=str(7 * 24 * 3600 * 1000), min_cleanable_dirty_ratio="0.25")
    assert _changes(kafka_settings, 1) == {"unchanged"}


def test_a_topic_with_the_producers_time_gets_the_brokers(kafka_settings: KafkaSettings, admin: AdminClient) -> None:
    """Apply sets LogAppendTime on a steps topic that was created without; later records have the broker's time."""
    name = f"{kafka_settings.topic_prefix}steps"
    before = NewTopic(name, num_partitions=1, replication_factor=1, config={"message.timestamp.type": "CreateTime"})
    admin.create_topics([before])[name].result(15)
    _config(admin, name, message_timestamp_type="CreateTime")
    producer = Producer(kafka_settings.client_config())
    producer.produce(name, b"before", timestamp=1_000)
    assert producer.flush(15) == 0
    assert dict(apply_topics(kafka_settings, 1))[name] == "reconfigured"
    _config(admin, name, message_timestamp_type="LogAppendTime")
    sent_ms = int(time.time() * 1000)
    producer.produce(name, b"after", timestamp=sent_ms + 2 * 3_600_000)  # the agent's clock is two hours ahead
    assert producer.flush(15) == 0
    consumer = Consumer({**kafka_settings.client_config(), "group.id": name})
    consumer.assign([TopicPartition(name, 0, 0)])
    first, second = consumer.consume(2, timeout=15)
    consumer.close()
    assert first.timestamp() == (TIMESTAMP_CREATE_TIME, 1_000)
    kind, at_ms = second.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert sent_ms - 1_000 <= at_ms <= sent_ms + 60_000


def test_another_number_of_partitions_is_refused_and_nothing_changes(
    kafka_settings: KafkaSettings, admin: AdminClient
) -> None:
    """A topic with other partitions stops everything before the first change, and the error says how to go on."""
    name = f"{kafka_settings.topic_prefix}steps"
    admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])[name].result(15)
    retention = _config(admin, name)["retention.ms"]
    with pytest.raises(TopicMismatch, match=rf"{name} has 2 partitions, 5 are asked for: pass --partitions 2"):
        apply_topics(kafka_settings, 5)
    assert [state.name for state in list_topics(kafka_settings) if state.partitions] == [name]
    assert _config(admin, name)["retention.ms"] == retention
    assert dict(apply_topics(kafka_settings, 2))[name] == "reconfigured"


def test_two_applies_at_once(kafka_settings: KafkaSettings) -> None:
    """Both succeed; each topic was created by one of them, and then all is as it should be."""
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: dict(apply_topics(kafka_settings, 2)), range(4)))
    for topic in TOPICS:
        changes = [result[kafka_settings.topic_prefix + topic.name] for result in results]
        assert changes.count("created") == 1
        assert set(changes) <= {"created", "unchanged", "reconfigured"}
    assert _changes(kafka_settings, 2) == {"unchanged"}


def test_more_copies_than_brokers_is_refused(kafka_settings: KafkaSettings) -> None:
    """What the broker says no to is its own error, with its words."""
    with pytest.raises(TopicRefused, match=r"cannot create topic .*[Rr]eplication factor"):
        apply_topics(kafka_settings, 1, replication=99)


def test_a_broker_that_is_down_is_named_soon() -> None:
    """Nobody at the address: BrokerUnavailable within seconds, with the address, the reason and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for call in (list_topics, apply_topics):
            started = time.monotonic()
            with pytest.raises(BrokerUnavailable, match=rf"answers at {address} \(.*refused.*`runbus up`"):
                call(KafkaSettings(address))
            assert time.monotonic() - started < 8


def test_settings_that_librdkafka_refuses_are_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A CA file that is no certificate is an error for the user, not a traceback."""
    pem = tmp_path_factory.mktemp("pem") / "ca.pem"
    pem.write_text("not a certificate")
    with pytest.raises(BrokerUnavailable, match="the Kafka settings cannot be used"):
        admin_client(KafkaSettings("127.0.0.1:9", security_protocol="SSL", ssl_ca_location=str(pem)))
