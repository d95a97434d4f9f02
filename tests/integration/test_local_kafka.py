"""The broker as a service: it survives SIGKILL and new ports, and says what is wrong."""

import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.config.errors import RunBusError
from runbus.config.sources import cache
from runbus.local.java import find_java
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port, listen
from runbus.local.process import start

pytestmark = pytest.mark.integration


def options(home: Path) -> KafkaOptions:
    """Place a broker in ``home`` on fresh ports."""
    return KafkaOptions(home, free_port(), free_port(), cache())


def produce(servers: str, topic: str, count: int) -> None:
    """Write records that the broker acknowledged."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True})
    for number in range(count):
        producer.produce(
            topic, str(number).encode(), on_delivery=lambda error, _message: failures.append(error) if error else None
        )
    assert producer.flush(30) == 0
    assert failures == []


def read_all(servers: str, topic: str, count: int) -> list[bytes]:
    """Read ``count`` records from the start."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values = [message.value() or b"" for message in consumer.consume(count, timeout=30) if not message.error()]
    consumer.close()
    return values


def test_acknowledged_records_survive_sigkill_and_new_ports(tmp_path: Path) -> None:
    """After SIGKILL the broker starts again on other ports, as the same cluster, with every record."""
    first = options(tmp_path / "kafka")
    broker = start(kafka_service(first), tmp_path / "kafka.log")
    try:
        admin = AdminClient({"bootstrap.servers": first.bootstrap_servers})
        admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
        produce(first.bootstrap_servers, "kept", 5000)
        cluster = admin.list_topics(timeout=10).cluster_id
        del admin
    finally:
        broker.kill()

    second = options(tmp_path / "kafka")
    assert second.port != first.port
    broker = start(kafka_service(second), tmp_path / "kafka.log")
    try:
        again = AdminClient({"bootstrap.servers": second.bootstrap_servers})
        assert again.list_topics(timeout=10).cluster_id == cluster
        assert read_all(second.bootstrap_servers, "kept", 5000) == [str(i).encode() for i in range(5000)]
        produce(second.bootstrap_servers, "kept", 1)
    finally:
        assert broker.stop() == 143  # a JVM that ended on SIGTERM, in order
    assert "ERROR" not in (tmp_path / "kafka.log").read_text()


def test_a_broker_starts_with_the_classes_of_the_one_before(tmp_path: Path) -> None:
    """The first start on a machine leaves an archive of classes in the cache; where Java has one, all use it."""
    java = find_java().resolve()
    service = kafka_service(options(tmp_path / "kafka"))
    archives = [argument for argument in service.argv if argument.startswith("-XX:SharedArchiveFile=")]
    assert bool(archives) == (java.parent.parent / "lib" / "server" / "classes.jsa").exists()


def test_taken_port_is_told_with_the_log(tmp_path: Path) -> None:
    """A broker that cannot listen ends, and the error carries its last log lines and the log's path."""
    wanted = options(tmp_path / "kafka")
    service = kafka_service(wanted)
    with listen(wanted.port, "--kafka-port") as taken:
        taken.listen()
        with pytest.raises(RunBusError, match="kafka ended while starting") as caught:
            start(service, tmp_path / "kafka.log")
    assert str(tmp_path / "kafka.log") in str(caught.value)
    assert "Address already in use" in str(caught.value)
