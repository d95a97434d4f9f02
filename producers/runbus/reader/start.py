"""Says where a reader begins, as its user says it, and as an offset of each partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, get_args

from runbus.config.errors import ConfigError
from runbus.kafka.model import TopicPartition
from runbus.reader.selection import Selection

Word: TypeAlias = Literal["committed", "beginning", "latest"]


@dataclass(frozen=True, slots=True)
class Offset:
    """Begin at this offset, in each partition that is read."""

    offset: int


@dataclass(frozen=True, slots=True)
class Seq:
    """Begin at this step of one agent.

    Attributes:
        seq: its number. If it is lost, the next one of its stream.
        attempt: which recording of the agent; None = the first that comes so far.
    """

    seq: int
    attempt: int | None = None


#: `committed`: at the cursor of the name. A time: the first record that is not older; a timedelta: so long ago.
#: A mapping: what `Reader.positions` returned.
Start: TypeAlias = Word | datetime | timedelta | Offset | Seq | Mapping[TopicPartition, int]


def check_start(start: Start, selection: Selection, *, named: bool) -> Start:
    """Return the start, a timedelta as the time that it means now. Raises ConfigError if it means nothing here."""
    match start:
        case str():
            if start not in get_args(Word):
                raise ConfigError(f"start={start!r} is not one of {', '.join(get_args(Word))}, nor a time or an offset")
            if start == "committed" and not named:
                raise ConfigError("start='committed' needs a cursor: give the reader a name")
        case datetime() if start.tzinfo is None:
            raise ConfigError(f"start={start} has no time zone: write datetime.now(UTC), or start.astimezone()")
        case timedelta():
            return datetime.now(UTC) - start
        case Seq():
            if not selection.one_agent or [kind.topic.name for kind in selection.topics.values()] != ["steps"]:
                raise ConfigError("start=Seq(...) needs topics='steps', run= and agent= as names: one stream's step")
        case Offset() if start.offset < 0:
            raise ConfigError(f"start={start}: an offset is 0 or more")
    return start
