"""Sorts the errors of aiokafka by what the caller does next, in one table. See runbus.kafka.next_step.

aiokafka wraps what ends one of its own tasks into a plain `KafkaError` ("Unexpected error during batch delivery"). The
cause is lost when the error is handed on as a copy. The task does not come back, so the client can do no more, whatever
the cause was: NEW_CLIENT, unless a cause that is still there asks for a person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiokafka import errors
from aiokafka.errors import KafkaError

from runbus.config.errors import RunBusError
from runbus.kafka.next_step import UNKNOWN, NextStep

log = logging.getLogger(__name__)

#: Seconds before something is done again with new clients.
AGAIN_S = 1.0

_AGAIN = (
    # no answer: the connection, or a broker that is slow
    *("NoBrokersAvailable", "NodeNotReadyError", "Cancelled", "TooManyInFlightRequests", "StaleMetadata"),
    *("MetadataEmptyBrokerList", "KafkaUnavailableError", "KafkaTimeoutError", "KafkaConnectionError"),
    *("KafkaProtocolError", "CorrelationIdError", "RequestTimedOutError", "BrokerNotAvailableError"),
    # leaders and coordinators move, replicas follow
    *("LeaderNotAvailableError", "NotLeaderForPartitionError", "ReplicaNotAvailableError", "StaleLeaderEpochCodeError"),
    *("GroupLoadInProgressError", "GroupCoordinatorNotAvailableError", "NotCoordinatorForGroupError"),
    *("NotEnoughReplicasError", "NotEnoughReplicasAfterAppendError", "KafkaStorageError", "NotControllerError"),
    *("StaleControllerEpochError", "ReassignmentInProgress", "UnknownTopicOrPartitionError"),
    # a group rebalances: the consumer joins it again by itself
    *("CommitFailedError", "IllegalGenerationError", "UnknownMemberIdError", "RebalanceInProgressError"),
    *("MemberIdRequired", "ConcurrentTransactions", "TransactionCoordinatorFenced"),
    # a connection that is refused is made again by the client; the credentials may be renewed in their files meanwhile
    *("AuthenticationFailedError", "SaslAuthenticationFailed", "DelegationTokenExpired"),
    # the next request is another one
    *("FetchSessionIdNotFound", "InvalidFetchSessionEpoch", "QuotaViolationError", "OperationNotAttempted"),
    # damaged on the way
    *("CorruptRecordException", "InvalidFetchRequestError"),
)
_NEW_CLIENT = (
    # one that wraps another, and what a broker says that is newer than aiokafka
    *("KafkaError", "BrokerResponseError", "UnknownError"),
    # the client's own state is not what it has to be
    *("IllegalStateError", "IllegalArgumentError", "IllegalOperation", "ConsumerStoppedError", "ProducerClosed"),
    *("IllegalSaslStateError", "NoOffsetForPartitionError", "OffsetOutOfRangeError", "GroupIdNotFound"),
    *("OutOfOrderSequenceNumber", "DuplicateSequenceNumber", "UnknownProducerId", "InvalidProducerIdMapping"),
    *("InvalidTxnState", "NoError"),
)
_FENCED = ("ProducerFenced", "InvalidProducerEpoch")
_RECORD = (
    *("MessageSizeTooLargeError", "RecordListTooLargeError", "RecordTooLargeError", "InvalidTimestampError"),
    *("OffsetMetadataTooLargeError", "InvalidCommitOffsetSizeError"),
)
_PERSON = (
    # rights and credentials
    *("TopicAuthorizationFailedError", "GroupAuthorizationFailedError", "ClusterAuthorizationFailedError"),
    *("TransactionalIdAuthorizationFailed", "DelegationTokenAuthorizationFailed"),
    *("AuthenticationMethodNotSupported", "UnsupportedSaslMechanismError"),
    *("SecurityDisabled", "DelegationTokenAuthDisabled", "DelegationTokenNotFound", "DelegationTokenOwnerMismatch"),
    *("DelegationTokenRequestNotAllowed", "InvalidPrincipalType"),
    # settings of this client, of the topic or of the broker
    *("KafkaConfigurationError", "UnsupportedCodecError", "UnrecognizedBrokerVersion", "IncompatibleBrokerVersion"),
    *("UnsupportedVersionError", "UnsupportedForMessageFormatError", "InconsistentGroupProtocolError"),
    *("InvalidGroupIdError", "InvalidSessionTimeoutError", "InvalidRequiredAcksError", "InvalidTransactionTimeout"),
    *("InvalidTopicError", "InvalidConfigurationError", "InvalidRequestError", "PolicyViolationError"),
    *("ListenerNotFound", "LogDirNotFound", "InvalidReplicationFactorError", "InvalidReplicationAssignmentError"),
    *("InvalidPartitionsError", "TopicAlreadyExistsError", "NonEmptyGroup"),
)

#: Name of a class of `aiokafka.errors` -> step.
STEPS: Mapping[str, NextStep] = {
    **dict.fromkeys(_AGAIN, NextStep.AGAIN),
    **dict.fromkeys(_NEW_CLIENT, NextStep.NEW_CLIENT),
    **dict.fromkeys(_FENCED, NextStep.FENCED),
    **dict.fromkeys(_RECORD, NextStep.RECORD),
    **dict.fromkeys(_PERSON, NextStep.PERSON),
}
#: What aiokafka raises for a reason of its own or of the broker; the last two are no KafkaError.
CLIENT_ERRORS: tuple[type[Exception], ...] = (
    *(KafkaError, OSError, TimeoutError),
    *(errors.ConsumerStoppedError, errors.IllegalOperation),
)


def next_step(error: BaseException) -> NextStep:
    """Return what to do about one of CLIENT_ERRORS; a class of aiokafka that is in no row is `UNKNOWN`, and logged."""
    causes = list(_causes(error))
    for cause in causes:
        if STEPS.get(type(cause).__name__) in (NextStep.FENCED, NextStep.PERSON):
            return STEPS[type(cause).__name__]
    if isinstance(error, OSError | TimeoutError) or getattr(error, "retriable", False):
        return NextStep.AGAIN
    step = STEPS.get(type(error).__name__)
    if step is None:
        log.error("streams.unknown_error %s", said(error))
        return UNKNOWN
    return step


@contextmanager
def own_state_checked() -> Iterator[None]:
    """Turn what aiokafka raises if its own state is wrong into a KafkaError.

    That is an AssertionError, or a CancelledError that nobody asked for: aiokafka awaits tasks that it has cancelled
    itself. Without this, such a call would end the task that made it as if we had cancelled it, and nobody would hear.
    """
    try:
        yield
    except AssertionError as error:
        raise KafkaError("aiokafka found itself in a state that cannot be") from error
    except asyncio.CancelledError as error:
        if cancellation_asked():
            raise
        raise KafkaError("aiokafka cancelled its own call") from error


def cancellation_asked() -> bool:
    """Whether somebody asked the task that runs to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def raise_if_final(error: Exception, doing: str) -> None:
    """Return if the client's error is no reason to end; it is logged. The caller waits, and goes on with a new client.

    Args:
        error: one of CLIENT_ERRORS.
        doing: what failed, for people.

    Raises:
        RunBusError: a person has to change something first.
    """
    step = next_step(error)
    if step in (NextStep.PERSON, NextStep.RECORD):
        advice = "check this user's rights and the KAFKA_* settings" if step is NextStep.PERSON else "report it, please"
        raise RunBusError(f"{doing}: Kafka refuses it for good: {said(error)}; {advice}") from error
    log.warning("streams.again %s: %s", doing, said(error))


def said(error: BaseException) -> str:
    """Return an error for a log line, with the causes that it still has."""
    return ", because of ".join(
        str(cause) if isinstance(cause, KafkaError) else f"{type(cause).__name__}: {cause}" for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
