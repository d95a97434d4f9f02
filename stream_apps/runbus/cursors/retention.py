"""Says how old the records of a topic may become before the broker deletes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, ResourceType

from runbus.cursors.own_groups import Names

_TIMEOUT_S = 10.0
_FOR_EVER = -1


def retentions(admin: AdminClient, names: Names, topics: Iterable[str]) -> dict[str, int]:
    """Return topic -> milliseconds; -1 = the age of a record does not matter.

    A user without DescribeConfigs gets what the catalogue says, which is what `runbus topics apply` sets.
    """
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(topics)]
    asked = admin.describe_configs(resources, request_timeout=_TIMEOUT_S) if resources else {}
    found: dict[str, int] = {}
    for resource, future in asked.items():
        try:
            found[resource.name] = _of(future.result(timeout=_TIMEOUT_S + 1))
        except (KafkaException, TimeoutError):
            found[resource.name] = _of_catalogue(names, resource.name)
    return found


def _of(config: Mapping[str, ConfigEntry]) -> int:
    deletes = "delete" in str(config["cleanup.policy"].value).split(",")
    return int(str(config["retention.ms"].value)) if deletes else _FOR_EVER


def _of_catalogue(names: Names, full_name: str) -> int:
    topic = names.of_catalogue(full_name)
    return _FOR_EVER if topic is None or "delete" not in topic.cleanup.split(",") else topic.retention_ms
