"""Every client of librdkafka is made in one module, and says who it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runbus.kafka import clients
from runbus.kafka.settings import KafkaSettings, Membership

ROOT = Path(__file__).parents[2]
KAFKA = KafkaSettings("127.0.0.1:1")


class Made:
    """A client that keeps how it was made."""

    def __init__(self, config: dict[str, Any], **_: object) -> None:
        self.config = config


def test_each_client_has_an_id_of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker's log and its quotas tell them from each other."""
    for name in ("Consumer", "Producer"):
        monkeypatch.setattr(clients, name, Made)
    made: list[Any] = [
        clients.new_sink_consumer(KAFKA, Membership("group", "classic", 20)),
        clients.new_offsets_reader(KAFKA, "group"),
        clients.new_bounds_reader(KAFKA),
        clients.new_log_reader(KAFKA, "group"),
        clients.new_reader(KAFKA, Membership("group", "classic", 10)),
        clients.new_recorder_producer(KAFKA, {}),
        clients.new_dead_letter_producer(KAFKA),
        clients.new_ingest_producer(KAFKA),
    ]
    ids = [client.config["client.id"] for client in made]
    kinds = ["sink", "offsets", "offsets", "log-reader", "reader", "recorder", "sink", "ingest"]
    assert ids == [f"runbus-{kind}" for kind in kinds]


def test_options_of_the_recorder_keep_what_every_producer_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own settings come on top of those without which an acknowledged record may be lost."""
    monkeypatch.setattr(clients, "Producer", Made)
    producer: Any = clients.new_recorder_producer(KAFKA, {"linger.ms": 5})
    assert producer.config.items() >= KAFKA.producer_config().items()
    assert producer.config["linger.ms"] == 5


def test_a_member_is_made_for_its_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are the client's under the classic protocol and the broker's under KIP-848."""
    monkeypatch.setattr(clients, "Consumer", Made)
    classic: Any = clients.new_sink_consumer(KAFKA, Membership("group", "classic", 8, "static"))
    assert classic.config["session.timeout.ms"] == 8000
    assert classic.config["group.instance.id"] == "static"
    newer: Any = clients.new_sink_consumer(KAFKA, Membership("group", "consumer", 20))
    assert "session.timeout.ms" not in newer.config
    assert "group.instance.id" not in newer.config


def test_a_reader_chooses_and_commits_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its offsets are explicit, what is aborted is not read, and its session is the setting's."""
    monkeypatch.setattr(clients, "Consumer", Made)
    static: Any = clients.new_reader(KAFKA, Membership("group", "classic", 8, "0"))
    wanted = {
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "session.timeout.ms": 8000,
        "group.instance.id": "0",
    }
    assert static.config.items() >= wanted.items()
    other: Any = clients.new_reader(KAFKA, Membership("group", "classic", 10))
    assert "group.instance.id" not in other.config


def test_no_other_module_makes_one() -> None:
    """A client with settings of its own would miss security, isolation or idempotence some day."""
    makes = re.compile(r"(?<!\w)(Producer|Consumer|AdminClient)\(")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("producers", "schemas", "stream_apps")
        for path in (ROOT / folder).rglob("*.py")
        if any(makes.search(line) for line in path.read_text().splitlines() if not line.startswith("class "))
    }
    assert found == {"schemas/runbus/kafka/clients.py"}
