"""Reads what the streams of a run said of themselves: spaces, config, labels."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.replay.run_index import Indexer
from runbus.schemas.codec import Codec


@dataclass(frozen=True, slots=True)
class Description:
    """What one stream said. Config and spaces are JSON text, "" = it said nothing."""

    stream: StreamId
    observation_space: str
    action_space: str
    config: str
    labels: dict[str, str]
    tags: list[str]
    outcome: str
    version: str


def from_clickhouse(settings: ClickHouseSettings, run: str, agent: str = "") -> list[Description]:
    """Return what is stored of each stream of a run (of one agent, or "" = all). Raises StoreError."""
    with closing(connect(settings)) as client, asking():
        found = client.query(
            query("export_streams"), parameters={"run_id": run, "agent_id": agent}, settings={"readonly": 1}
        ).result_rows
    return [
        Description(StreamId(run, agent_id, attempt), seen, acted, config, labels, list(tags), outcome, version)
        for agent_id, attempt, seen, acted, config, labels, tags, outcome, version in found
    ]


def from_kafka(settings: KafkaSettings, codec: Codec, run: str, agent: str = "") -> list[Description]:
    """Return what the log has of each stream. Raises RunBusError."""
    events, _ = Indexer(settings, codec).events(run, agent or None)
    return [
        Description(
            stream,
            event.observation_space,
            event.action_space,
            event.config,
            dict(event.labels),
            list(event.tags),
            event.outcome,
            event.version,
        )
        for stream, event in sorted(events.items())
    ]


def document(run: str, descriptions: Iterable[Description]) -> dict[str, Any]:
    """Return the descriptions as JSON data: what several streams say alike is there once.

    `streams` has one entry a stream; its `config`, `observation_space` and `action_space` are indices in `texts`, which
    are JSON texts, or null.
    """
    texts: dict[str, int] = {}
    streams = []
    for one in descriptions:
        indices = {
            name: texts.setdefault(text, len(texts)) if text else None
            for name in ("config", "observation_space", "action_space")
            for text in (getattr(one, name),)
        }
        streams.append(
            {
                "agent_id": one.stream.agent_id,
                "attempt": one.stream.attempt,
                **indices,
                "labels": one.labels,
                "tags": one.tags,
                "outcome": one.outcome,
                "version": one.version,
            }
        )
    return {"run_id": run, "streams": streams, "texts": list(texts)}
