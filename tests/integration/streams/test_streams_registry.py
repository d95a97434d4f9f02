"""The whole way with a schema registry: recorder, episodes app, both in Confluent framing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port
from runbus.schemas.codec import CONFLUENT_MARK, Codec
from runbus.schemas.events import EpisodeFinalized
from runbus.schemas.registry import SchemaRegistry
from tests.faults.stream_workers import workers
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration

AGENT = """
from runbus.recorder import Recorder

with Recorder("registry-run", "agent-0") as recorder:
    for episode in range(3):
        recorder.reset(0.0)
        for step in range(5):
            recorder.step(1, 0.5, step == 4, False, 0.0)
"""


def reasons(port: int) -> list[str]:
    """Return why a worker is not ready; empty = it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            found: list[str] = json.loads(answer.read())["reasons"]
    except urllib.error.HTTPError as error:
        found = json.loads(error.read())["reasons"]
    except OSError as error:
        found = [str(error)]
    return found


def test_episodes_of_registered_schemas_are_finalised(
    kafka_settings: KafkaSettings, registry: str, tmp_path: Path
) -> None:
    """Without the registry the partition waits, /ready says why, nothing is lost; with it each comes once."""
    apply_topics(kafka_settings, partitions=1)
    schemas = SchemaRegistry(registry)
    schemas.push_all(kafka_settings.topic_prefix)
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "SCHEMA_REGISTRY_URL": registry,
    }
    subprocess.run([sys.executable, "-c", AGENT], env={**os.environ, **env}, check=True, timeout=60)
    log, port = TopicReader(kafka_settings), free_port()
    assert all((message.value() or b"")[:1] == CONFLUENT_MARK for message in log.read("steps"))

    with workers("episodes", kafka_settings, tmp_path, RUNBUS_PROBES_ADDRESS=f"127.0.0.1:{port}") as without:
        process = without.start()
        until("it says that a registry is missing", lambda: "SCHEMA_REGISTRY_URL" in " ".join(reasons(port)))
        without.stop(process)
    assert log.read("episodes") == []

    with workers("episodes", kafka_settings, tmp_path, SCHEMA_REGISTRY_URL=registry) as with_it:
        process = with_it.start()
        until("three episodes", lambda: len(log.read("episodes")) == 3)
        with_it.stop(process)
    codec = Codec(schemas)
    events = []
    for message in log.read("episodes"):
        writer, body = codec.open(message.value(), "EpisodeFinalized")
        events.append(EpisodeFinalized.decode(body, writer))
    assert [(e.episode, e.revision, e.reason, e.return_, e.length, e.complete) for e in events] == [
        (number, 1, "terminated", 2.5, 5, True) for number in range(3)
    ]
    assert log.read("dead-letters") == []
