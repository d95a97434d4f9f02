"""Asks the broker what this user may do, and names in one sentence what it lacks of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from runbus.kafka.errors import RightMissing
from runbus.kafka.principals import Operation, Principal, ResourceNames, Right, Role, principal
from runbus.kafka.settings import KafkaSettings

_TIMEOUT_S = 10.0
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
#: what Kafka's client calls each operation of the catalogue
OPERATIONS: Mapping[Operation, AclOperation] = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Alter": AclOperation.ALTER,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}


def check_rights(settings: KafkaSettings, admin: AdminClient, role: Role | Principal, group: str = "") -> None:
    """Raise RightMissing with everything on topics and groups that the broker says this user lacks.

    What it does not say passes: rights on transactional ids, on what does not exist yet, and all of a broker that is
    too old. A component meets those refusals when it works, and names them then.

    Args:
        settings: of this user.
        admin: a client of it.
        role: whose rights it has to have: a role of the catalogue, or a principal that is none of it.
        group: of the sink, if it is not the prefix and `sink`.

    Raises:
        RightMissing: see above.
        KafkaException: the broker cannot be asked.
    """
    names = ResourceNames(settings.topic_prefix, group)
    wanted = role if isinstance(role, Principal) else principal(role)
    missing = [right.said(names) for right in lacking(admin, wanted.rights, names)]
    if missing:
        raise RightMissing(settings, missing)


def lacking(admin: AdminClient, rights: Iterable[Right], names: ResourceNames) -> Iterator[Right]:
    """Yield those of the rights that the broker says this user does not have. Raises KafkaException."""
    wanted = list(rights)
    allowed = {
        "Topic": _topics(admin, {r.on(names) for r in wanted if r.resource == "Topic" and not r.prefixed}),
        "Group": _groups(admin, {r.on(names) for r in wanted if r.resource == "Group"}),
    }
    for right in wanted:
        found = allowed.get(right.resource, {}).get(right.on(names))
        if found is not None and OPERATIONS[right.operation] not in found:
            yield right


Allowed = dict[str, set[AclOperation] | None]


def _topics(admin: AdminClient, names: set[str]) -> Allowed:
    if not names:
        return {}
    futures = admin.describe_topics(
        TopicCollection(sorted(names)), include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    return {name: _allowed(future) for name, future in futures.items()}


def _groups(admin: AdminClient, names: set[str]) -> Allowed:
    if not names:
        return {}
    futures = admin.describe_consumer_groups(
        sorted(names), include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    return {name: _allowed(future) for name, future in futures.items()}


def _allowed(future: Future[Any]) -> set[AclOperation] | None:
    """Return the operations; None = the broker does not say."""
    try:
        found = future.result(timeout=_TIMEOUT_S + 1).authorized_operations
    except TimeoutError:
        return None
    except KafkaException as error:
        return set() if error.args[0].code() in _REFUSED else None
    return set(found) if found else None
