"""Gives the principals their rights on the broker, and lists those that it has: Kafka's ACLs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.kafka.admin import ask_topics
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.principals import CLUSTER, EVERYTHING, ResourceNames, Right
from runbus.kafka.rights import OPERATIONS
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.user_apps import all_principals

_TIMEOUT_S = 15.0
_ANSWER_S = 5.0  # the first request, as in admin
_SETTLED_S = 10.0  # until every broker knows an ACL that was just created
_EVERY_HOST = "*"
_LACKS = f"this user lacks Describe or Alter on Cluster {CLUSTER}; use the admin's user"
V = TypeVar("V")
State = Literal["given", "missing", "extra"]
Change = Literal["created", "unchanged", "would create"]

_RESOURCES = {
    "Topic": ResourceType.TOPIC,
    "Group": ResourceType.GROUP,
    "TransactionalId": ResourceType.TRANSACTIONAL_ID,
    "Cluster": ResourceType.BROKER,
}


class AclsRefused(RunBusError):
    """The broker answered, and neither shows nor changes its ACLs for this user."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A right of a principal, with the names of one installation.

    Attributes:
        role: of the catalogue, or "" if the broker has it and the catalogue does not.
        principal: what the broker calls it.
        text: the right, as one reads it.
        state: whether the broker has it; `extra` = only the broker has it.
    """

    role: str
    principal: str
    text: str
    state: State


def list_acls(
    settings: KafkaSettings, principals: Mapping[str, str], group: str = "", *, apps: Sequence[AppTopics] = ()
) -> list[Grant]:
    """Return every right of the catalogue and whether the broker has it, then what else these principals have.

    Args:
        settings: of a user with Describe on the cluster.
        principals: role -> what the broker calls it.
        group: of the sink, if it is not the prefix and `sink`.
        apps: stream apps of the installation's users.

    Raises:
        BrokerUnavailable: no answer.
        AclsRefused: no right to see them, or the broker has no authorizer.
    """
    names = ResourceNames(settings.topic_prefix, group)
    there = _found(settings, principals)
    if not there:
        _may_look(settings)
    wanted = _wanted(principals, names, apps)
    known = {binding for _, _, binding in wanted}
    listed = [
        Grant(role, binding.principal, right.said(names), "given" if binding in there else "missing")
        for role, right, binding in wanted
    ]
    roles = {name: role for role, name in principals.items()}
    extra = sorted((roles.get(b.principal, ""), b.principal, _said(b)) for b in there - known)
    return listed + [Grant(role, name, text, "extra") for role, name, text in extra]


def apply_acls(
    settings: KafkaSettings,
    principals: Mapping[str, str],
    group: str = "",
    *,
    apps: Sequence[AppTopics] = (),
    dry_run: bool = False,
) -> list[tuple[Grant, Change]]:
    """Give what is missing; safe to repeat. Takes nothing away: `list_acls` shows what is `extra`.

    Args:
        settings: of a user with Describe and Alter on the cluster.
        principals: role -> what the broker calls it.
        group: of the sink, if it is not the prefix and `sink`.
        apps: stream apps of the installation's users.
        dry_run: say what would be created, and create nothing.

    Raises:
        BrokerUnavailable: no answer.
        AclsRefused: no right to change them, or the broker has no authorizer.
    """
    names = ResourceNames(settings.topic_prefix, group)
    there = _found(settings, principals)
    wanted = _wanted(principals, names, apps)
    missing = list(dict.fromkeys(binding for _, _, binding in wanted if binding not in there))
    if missing and not dry_run:
        admin = admin_client(settings)
        for binding, future in admin.create_acls(missing, request_timeout=_TIMEOUT_S).items():
            _result(settings, f"cannot give {binding.principal} {_said(binding)}", future)
        _wait_for(settings, principals, set(missing))
    done: Change = "would create" if dry_run else "created"
    return [
        (
            Grant(role, binding.principal, right.said(names), "missing" if dry_run and binding in missing else "given"),
            done if binding in missing else "unchanged",
        )
        for role, right, binding in wanted
    ]


def binding(principal: str, right: Right, names: ResourceNames) -> AclBinding:
    """Return a right as Kafka's client takes it."""
    return AclBinding(
        _RESOURCES[right.resource],
        right.on(names),
        ResourcePatternType.PREFIXED
        if right.prefixed and right.on(names) != EVERYTHING
        else ResourcePatternType.LITERAL,
        principal,
        _EVERY_HOST,
        OPERATIONS[right.operation],
        AclPermissionType.ALLOW,
    )


def everything_of(principal: str) -> AclBindingFilter:
    """Return what finds every ACL of a principal, as Kafka's client takes it."""
    return AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any, though the stub says str; so is the host
        ResourcePatternType.ANY,
        principal,
        None,  # type: ignore[arg-type]
        AclOperation.ANY,
        AclPermissionType.ANY,
    )


def _wanted(
    principals: Mapping[str, str], names: ResourceNames, apps: Sequence[AppTopics]
) -> list[tuple[str, Right, AclBinding]]:
    found = all_principals(apps)
    return [(p.role, right, binding(principals[p.role], right, names)) for p in found for right in p.rights]


def _found(settings: KafkaSettings, principals: Mapping[str, str]) -> set[AclBinding]:
    admin = admin_client(settings)
    found: set[AclBinding] = set()
    for name in sorted(set(principals.values())):
        future = admin.describe_acls(everything_of(name), request_timeout=_TIMEOUT_S)
        found.update(_result(settings, f"cannot see the rights of {name}", future))
    return found


def _wait_for(settings: KafkaSettings, principals: Mapping[str, str], created: set[AclBinding]) -> None:
    """Return once the broker shows them: the controller has them first."""
    deadline = Deadline.after(_SETTLED_S, time.monotonic())
    while not created <= _found(settings, principals):
        if deadline.passed(time.monotonic()):
            raise BrokerUnavailable(
                f"{settings.bootstrap_servers} took the rights and does not show them after {_SETTLED_S:.0f} s: see "
                "`runbus topics acls`, and apply them again"
            )
        time.sleep(0.05)


def _may_look(settings: KafkaSettings) -> None:
    """Raise AclsRefused without Describe on the cluster: the client then returns no ACLs instead of an error."""
    admin, what = admin_client(settings), "cannot see the rights"
    ask_topics(settings, admin, _ANSWER_S)  # if no broker answers, this says so soonest and best
    described = _result(settings, what, admin.describe_cluster(include_authorized_operations=True))
    if AclOperation.DESCRIBE not in (described.authorized_operations or []):
        raise AclsRefused(f"{what}: {_LACKS}")


def _said(acl: AclBinding) -> str:
    resource = next((name for name, kind in _RESOURCES.items() if kind == acl.restype), str(acl.restype))
    operation = next((name for name, kind in OPERATIONS.items() if kind == acl.operation), str(acl.operation))
    star = "*" if acl.resource_pattern_type == ResourcePatternType.PREFIXED else ""
    denied = "no " if acl.permission_type == AclPermissionType.DENY else ""
    host = "" if acl.host == _EVERY_HOST else f" from {acl.host}"
    return f"{denied}{operation} on {resource} {acl.name}{star}{host}"


def _result(settings: KafkaSettings, what: str, future: Future[V]) -> V:
    try:
        return future.result(timeout=_TIMEOUT_S + 1)
    except TimeoutError as error:
        raise BrokerUnavailable(f"{what}: {settings.bootstrap_servers} did not answer in time") from error
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            raise AclsRefused(f"{what}: {_LACKS}") from error
        if cause.code() == KafkaError.SECURITY_DISABLED:
            raise AclsRefused(
                f"{what}: the broker has no authorizer (authorizer.class.name), so every client may do everything"
            ) from error
        raise BrokerUnavailable(f"{what} at {settings.bootstrap_servers}: {cause.str()}") from error
