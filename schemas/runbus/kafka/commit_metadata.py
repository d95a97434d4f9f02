"""Encodes what the sink writes beside a committed offset, and decodes it for the sink, the audit and the retry."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import NamedTuple

from runbus.kafka.dead_letter_rate import NONE_YET, DeadLetterRate


@dataclass(frozen=True, slots=True)
class Intent:
    """The range that an owner is about to store, kept in the metadata of the committed offset `lo`.

    Attributes:
        topic_id: of the topic that the offset counts in; a re-created topic has another one.
        hi: last offset of the range, or -1 = nothing is pending.
        salt: a part of every token of this range; new for each announcement, so that a range that is cut at the same
            places again (the group's offset was moved back) does not meet the tokens of the former one.
        repair: counts the repairs of this range that were lost. A new number is only valid once it was committed.
        rate: what the records before `lo` were like.
        overlaps: rows of [lo, hi] were stored before under other ranges (the group's offset was moved back): only
            what is missing is inserted, as a repair is.
    """

    topic_id: str
    hi: int = -1
    salt: str = ""
    rate: DeadLetterRate = NONE_YET
    overlaps: bool = False
    repair: int = 0

    @property
    def pending(self) -> bool:
        """True if a range was announced that may or may not be stored."""
        return self.hi >= 0

    def again(self) -> Intent:
        """Return the same range with another name for its repairs."""
        return replace(self, repair=self.repair + 1)

    def encode(self) -> str:
        """Return the commit metadata (JSON, about 100 bytes; a broker takes 4096)."""
        fields: dict[str, object] = {
            "v": 1,
            "topic": self.topic_id,
            "hi": self.hi,
            "salt": self.salt,
            "poison": list(self.rate),
        }
        if self.overlaps:
            fields["overlaps"] = True
        if self.repair:
            fields["repair"] = self.repair
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def decode(cls, metadata: str | None) -> Intent | None:
        """Return the intent of a commit's metadata, or None if another tool wrote the commit."""
        try:
            fields = json.loads(metadata or "")
            run, letters, records = fields.get("poison", NONE_YET)
            rate = DeadLetterRate(int(run), float(letters), float(records))
            overlaps, repair = bool(fields.get("overlaps", False)), int(fields.get("repair", 0))
            return cls(str(fields["topic"]), int(fields["hi"]), str(fields["salt"]), rate, overlaps, repair)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class Committed(NamedTuple):
    """The committed offset of a partition, and its intent, if the sink wrote it."""

    offset: int
    intent: Intent | None


def counted_in(metadata: str | None) -> str | None:
    """Return the topic id that the sink wrote into the metadata of a commit; None if another tool committed."""
    intent = Intent.decode(metadata)
    return None if intent is None else intent.topic_id
