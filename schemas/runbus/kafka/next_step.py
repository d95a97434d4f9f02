"""Sorts the errors of librdkafka's clients by what the caller does next. The one table of their codes.

| step | meaning | the caller |
|---|---|---|
| NOTHING | no failure: success, the end of a partition | goes on |
| AGAIN | the broker is away or busy; the request may have been carried out | makes the same call again |
| NEW_CLIENT | this client is of no use any more | makes a new one: it finds everything in the log |
| FENCED | somebody else is the owner now | drops the work: its owner does it |
| RECORD | this record, or a value of this request, is never taken | isolates the record |
| PERSON | wrong until somebody changes rights, credentials or settings | ends, with one sentence |

A code that is in no row is NEW_CLIENT, and logged: the same call again may fail for ever, and the end of a process
because of an error that may pass is what this table is to prevent. What librdkafka says of one error (`fatal`,
`retriable`) goes before the row of its code, except before FENCED and PERSON.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum

from confluent_kafka import KafkaError, KafkaException

from runbus.config.errors import RunBusError

log = logging.getLogger(__name__)


class NextStep(Enum):
    """What to do after an error of a Kafka client; see the module's text."""

    NOTHING = "nothing"
    AGAIN = "again"
    NEW_CLIENT = "new client"
    FENCED = "fenced"
    RECORD = "record"
    PERSON = "person"


#: The step of an error that no table knows.
UNKNOWN = NextStep.NEW_CLIENT

_NOTHING = ("NO_ERROR", "_PARTITION_EOF", "_NOOP", "_ASSIGN_PARTITIONS", "_REVOKE_PARTITIONS")
_AGAIN = (
    # no answer: the connection, or a broker that is slow
    *("_TRANSPORT", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE"),
    *("_NODE_UPDATE", "_DESTROY_BROKER", "_UNKNOWN_BROKER", "_FAIL", "_BAD_MSG", "_PARTIAL", "_UNDERFLOW"),
    *("_INTR", "_RETRY", "_QUEUE_FULL", "_CRIT_SYS_RESOURCE", "_PURGE_QUEUE", "_PURGE_INFLIGHT"),
    *("REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "BROKER_NOT_AVAILABLE", "UNKNOWN_CONTROLLER_ID"),
    # leaders move, replicas follow
    *("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "REPLICA_NOT_AVAILABLE", "PREFERRED_LEADER_NOT_AVAILABLE"),
    *("ELIGIBLE_LEADERS_NOT_AVAILABLE", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE"),
    *("NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "_ISR_INSUFF", "KAFKA_STORAGE_ERROR"),
    *("NOT_CONTROLLER", "STALE_CTRL_EPOCH", "STALE_BROKER_EPOCH", "REASSIGNMENT_IN_PROGRESS", "REBOOTSTRAP_REQUIRED"),
    # topics that one broker does not know yet: librdkafka asks again, and so does its caller
    *("UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_ID", "INCONSISTENT_TOPIC_ID", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"),
    *("_WAIT_CACHE", "_OUTDATED"),
    # coordinators move and load; a group rebalances
    *("COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "_WAIT_COORD"),
    *("REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "STALE_MEMBER_EPOCH", "MEMBER_ID_REQUIRED"),
    *("UNRELEASED_INSTANCE_ID", "UNSTABLE_OFFSET_COMMIT", "_IN_PROGRESS", "_PREV_IN_PROGRESS"),
    *("CONCURRENT_TRANSACTIONS", "TRANSACTION_COORDINATOR_FENCED"),
    # thrown out for being slow: the consumer joins again by itself at its next poll
    "_MAX_POLL_EXCEEDED",
    # a connection that is refused is made again by the client; the credentials may be renewed in their files meanwhile.
    # A process that cannot connect at its start says so (runbus.kafka.start)
    *("_AUTHENTICATION", "_SSL", "SASL_AUTHENTICATION_FAILED", "DELEGATION_TOKEN_EXPIRED"),
    # the next request is another one
    *("FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH", "SHARE_SESSION_NOT_FOUND"),
    *("INVALID_SHARE_SESSION_EPOCH", "SHARE_SESSION_LIMIT_REACHED", "UNKNOWN_SUBSCRIPTION_ID", "TELEMETRY_TOO_LARGE"),
    *("THROTTLING_QUOTA_EXCEEDED", "OPERATION_NOT_ATTEMPTED", "ELECTION_NOT_NEEDED", "NO_REASSIGNMENT_IN_PROGRESS"),
    *("INVALID_UPDATE_VERSION", "PRINCIPAL_DESERIALIZATION_FAILURE"),
    # damaged on the way: the broker or the client reads it again
    *("INVALID_MSG", "INVALID_MSG_SIZE"),
)
_NEW_CLIENT = (
    *("UNKNOWN", "_FATAL", "_STATE", "_INCONSISTENT", "_CONFLICT", "_EXISTING_SUBSCRIPTION", "_FS"),
    *("_APPLICATION", "_UNKNOWN_GROUP", "_NO_OFFSET", "_NOENT", "_READ_ONLY"),
    # where the client stands in the log, or in a sequence, is not where the broker is
    *("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET", "_LOG_TRUNCATION", "_GAPLESS_GUARANTEE"),
    *("OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID"),
    *("INVALID_PRODUCER_ID_MAPPING", "INVALID_TXN_STATE", "TRANSACTION_ABORTABLE"),
    *("FENCED_STATE_EPOCH", "INVALID_RECORD_STATE", "ILLEGAL_SASL_STATE", "GROUP_ID_NOT_FOUND"),
    *("STREAMS_INVALID_TOPOLOGY", "STREAMS_INVALID_TOPOLOGY_EPOCH", "STREAMS_TOPOLOGY_FENCED"),
)
_FENCED = (
    # of a member. ILLEGAL_GENERATION and STALE_MEMBER_EPOCH are not among them: a member hears them that is still in
    # the group while a rebalance goes on around it, and in a cooperative or KIP-848 rebalance it keeps most of its
    # partitions without a callback. Whoever was thrown out is UNKNOWN_MEMBER_ID.
    *("UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH", "_FENCED", "_ASSIGNMENT_LOST"),
    # the client is being closed, and has no coordinator any more: inside the last callback, where asking again would
    # only hold up the end of the process
    "_DESTROY",
    # of a producer
    *("INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"),
)
_RECORD = (
    *(
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "_INVALID_DIFFERENT_RECORD",
    ),
    *("OFFSET_METADATA_TOO_LARGE", "INVALID_COMMIT_OFFSET_SIZE", "_BAD_COMPRESSION"),
    *("_KEY_SERIALIZATION", "_VALUE_SERIALIZATION", "_KEY_DESERIALIZATION", "_VALUE_DESERIALIZATION"),
)
_PERSON = (
    # rights and credentials
    *("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"),
    *("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_AUTHORIZATION_FAILED"),
    *("UNSUPPORTED_SASL_MECHANISM", "SECURITY_DISABLED", "UNACCEPTABLE_CREDENTIAL"),
    *("DELEGATION_TOKEN_AUTH_DISABLED", "DELEGATION_TOKEN_NOT_FOUND", "DELEGATION_TOKEN_OWNER_MISMATCH"),
    *("DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "INVALID_PRINCIPAL_TYPE"),
    # settings of this client, of the topic or of the broker
    *("_INVALID_ARG", "_INVALID_TYPE", "_NOT_CONFIGURED", "_NOT_IMPLEMENTED", "_UNSUPPORTED_FEATURE"),
    *("_UNKNOWN_PROTOCOL", "UNSUPPORTED_VERSION", "UNSUPPORTED_FOR_MESSAGE_FORMAT", "UNSUPPORTED_COMPRESSION_TYPE"),
    *("UNSUPPORTED_ASSIGNOR", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "INVALID_SESSION_TIMEOUT"),
    *("GROUP_MAX_SIZE_REACHED", "INVALID_REQUIRED_ACKS", "INVALID_TRANSACTION_TIMEOUT", "TOPIC_EXCEPTION"),
    *("INVALID_CONFIG", "INVALID_REQUEST", "POLICY_VIOLATION", "INVALID_REGULAR_EXPRESSION", "LISTENER_NOT_FOUND"),
    *("LOG_DIR_NOT_FOUND", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT", "INVALID_PARTITIONS"),
    *("MISMATCHED_ENDPOINT_TYPE", "UNSUPPORTED_ENDPOINT_TYPE"),
    # of administration: what is to be done depends on what was wanted
    *("TOPIC_ALREADY_EXISTS", "TOPIC_DELETION_DISABLED", "NON_EMPTY_GROUP", "GROUP_SUBSCRIBED_TO_TOPIC"),
    *("RESOURCE_NOT_FOUND", "DUPLICATE_RESOURCE", "FEATURE_UPDATE_FAILED", "INCONSISTENT_VOTER_SET"),
    *("INVALID_REGISTRATION", "INVALID_VOTER_KEY", "DUPLICATE_VOTER", "VOTER_NOT_FOUND"),
)

#: Name of a code, as `KafkaError` has it -> step.
STEPS: Mapping[str, NextStep] = {
    **dict.fromkeys(_NOTHING, NextStep.NOTHING),
    **dict.fromkeys(_AGAIN, NextStep.AGAIN),
    **dict.fromkeys(_NEW_CLIENT, NextStep.NEW_CLIENT),
    **dict.fromkeys(_FENCED, NextStep.FENCED),
    **dict.fromkeys(_RECORD, NextStep.RECORD),
    **dict.fromkeys(_PERSON, NextStep.PERSON),
}
# A name that this version of the client does not have needs no number.
_BY_CODE: Mapping[int, NextStep] = {
    code: step for name, step in STEPS.items() if (code := getattr(KafkaError, name, None)) is not None
}


def next_step(error: KafkaError) -> NextStep:
    """Return what to do about an error; one that is in no row is `UNKNOWN`, and logged."""
    step = _BY_CODE.get(error.code())
    if step in (NextStep.FENCED, NextStep.PERSON):
        return step
    if error.fatal():
        return NextStep.NEW_CLIENT
    if error.retriable():
        return NextStep.AGAIN
    if step is None:
        log.error("kafka.unknown_error %d %s: %s", error.code(), error.name(), error.str())
        return UNKNOWN
    return step


def cause_of(exception: KafkaException) -> KafkaError:
    """Return the error that an exception of the client carries."""
    error = exception.args[0]
    assert isinstance(error, KafkaError)
    return error


def raise_for_person(error: KafkaError, refused: str) -> None:
    """Raise RunBusError where a person has to change something first; `refused` says what the broker does not do."""
    if next_step(error) is NextStep.PERSON:
        raise RunBusError(
            f"Kafka refuses this user {refused}: {error.str()}; an admin gives the right with `runbus topics apply "
            "--acls`; check the KAFKA_* settings too"
        )
