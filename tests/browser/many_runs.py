"""Puts runs that ended into the log, many at once: what a list of thousands is drawn from.

Events are written as a recorder writes them, without ten thousand recorders.
"""

from __future__ import annotations

import json
import random
from typing import Any

from confluent_kafka import Producer

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import RUNS, run_event_key
from runbus.local.apps import sources
from runbus.local.stack import Endpoints
from runbus.schemas.avsc import schema
from runbus.schemas.events import Outcome, RunEvent
from runbus.schemas.registry import codec

_BEGAN_US = 1_795_000_000_000_000
_OUTCOMES: tuple[Outcome, ...] = ("completed", "completed", "completed", "failed", "interrupted")


def publish(endpoints: Endpoints, runs: int, prefix: str = "scale") -> None:
    """Write the start and the end of so many runs, named `prefix`-00000 and on; return once the broker has them."""
    found = sources(endpoints)
    kafka, framing = KafkaSettings.load(found), codec(found)
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 20}
    )
    topic, written = kafka.topic_prefix + RUNS.name, schema(RunEvent.SCHEMA)
    for index in range(runs):
        for event in _events(f"{prefix}-{index:05d}", index):
            key = run_event_key(event.run_id, event.agent_id, event.attempt)
            producer.produce(topic, key=key, value=framing.frame(topic, written, event.encode()))
        producer.poll(0)
    producer.flush(60)


def _events(run: str, index: int) -> list[RunEvent]:
    began = _BEGAN_US + index * 60_000_000
    chance = random.Random(index)
    same: dict[str, Any] = {
        "run_id": run,
        "agent_id": "agent-0",
        "attempt": began,
        "started_at": began,
        "config": json.dumps(
            {"algo": ("ppo", "dqn", "sac")[index % 3], "seed": index % 10, "lr": 10.0 ** -(index % 5)}
        ),
        "labels": {"env": ("walk", "swim")[index % 2]},
        "host": "somewhere",
        "pid": index + 1,
    }
    steps = chance.randrange(1_000, 1_000_000)
    outcome = _OUTCOMES[index % len(_OUTCOMES)]
    return [
        RunEvent(kind="STARTED", sent_at=began, **same),
        RunEvent(kind="FINISHED", sent_at=began + 50_000_000, outcome=outcome, produced=steps, **same),
    ]
