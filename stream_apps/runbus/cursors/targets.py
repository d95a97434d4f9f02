"""Says which offsets a reset is asked for: the beginning, the end, an offset, a time, or where a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from runbus.config.errors import ConfigError, RunBusError
from runbus.config.options import Word
from runbus.cursors.positions import Cursor
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import cause_of, raise_for_person

_TIMEOUT_S = 10.0
_ALONE = ("beginning", "end")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to move a group.

    Attributes:
        word: what kind of place.
        value: offset, milliseconds since the epoch, or name of a run; "" = the word says it all.
        topic: only this one, with its prefix; "" = all.
        partition: only this one; None = all.
    """

    word: Word
    value: int | str = ""
    topic: str = ""
    partition: int | None = None

    def chooses(self, at: TopicPartition) -> bool:
        """Whether a partition is to be moved."""
        return self.topic in ("", at.topic) and self.partition in (None, at.partition)


def target(word: Word | None, value: str | None, topic: str, partition: int | None) -> Target:
    """Return what was asked for. Raises ConfigError."""
    if word is None:
        raise ConfigError("say where to: --to beginning, end, offset N, time ISO or run RUN")
    if word in _ALONE and value:
        raise ConfigError(f"--to {word} takes no value, and {value!r} was given")
    if word not in _ALONE and not value:
        raise ConfigError(f"--to {word} needs a value: --to {word} {_EXAMPLES[word]}")
    if word == "offset" and (not topic or partition is None):
        raise ConfigError("an offset counts in one partition: add --topic and --partition")
    if partition is not None and not topic:
        raise ConfigError("--partition needs --topic")
    return Target(word, _PARSERS.get(word, str)(value or ""), topic, partition)


def _offset(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ConfigError(f"--to offset {text!r}: give a number, 0 or more")
    return int(text)


def _time_ms(text: str) -> int:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--to time {text!r}: give a time as ISO 8601 has it, {_EXAMPLES['time']}") from error
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)


_EXAMPLES = {"offset": "120", "time": "2026-11-29T08:00:00Z", "run": "my-run"}
_PARSERS = {"offset": _offset, "time": _time_ms}


def offset_in(cursor: Cursor, offset: int) -> int:
    """Return an offset. Raises RunBusError if the log does not have it."""
    if cursor.beginning <= offset <= cursor.end:
        return offset
    raise RunBusError(f"{cursor.at} has offsets {cursor.beginning} to {cursor.end}: {offset} is not one of them")


def offsets_at(admin: AdminClient, cursors: Sequence[Cursor], time_ms: int) -> dict[TopicPartition, int]:
    """Return the first offset of each partition whose record is not older; the end where all are.

    Raises BrokerUnavailable, RunBusError.
    """
    spec = OffsetSpec.for_timestamp(max(0, time_ms))
    asked = {ClientPartition(*cursor.at): spec for cursor in cursors}
    futures: Mapping[ClientPartition, Future[ListOffsetsResultInfo]] = (
        admin.list_offsets(asked, request_timeout=_TIMEOUT_S) if asked else {}
    )
    ends = {cursor.at: cursor for cursor in cursors}
    found = {}
    for part, future in futures.items():
        at = TopicPartition(part.topic, part.partition)
        offset = _answered(future)
        found[at] = ends[at].end if offset < 0 else min(max(offset, ends[at].beginning), ends[at].end)
    return found


def _answered(future: Future[ListOffsetsResultInfo]) -> int:
    try:
        return int(future.result(timeout=_TIMEOUT_S + 1).offset)
    except TimeoutError as error:
        raise BrokerUnavailable("the broker did not say in time which offsets a time has; ask again") from error
    except KafkaException as error:
        raise_for_person(cause_of(error), "Describe on a topic")
        raise BrokerUnavailable(f"the broker does not say which offsets a time has: {cause_of(error).str()}") from error
