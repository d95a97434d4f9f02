"""Keeps what a loop says about some of its rows: kind, status, parent, why an episode stopped, labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.reading import text_of_object
from runbus.schemas.batch import KINDS, NO_PARENT, STATUSES, Label
from runbus.schemas.strict_json import utf8_text

Kind = Literal["env", "model", "tool", "agent", "judge", "human"]
Status = Literal["ok", "error", "timeout", "cancelled", "length"]

#: is told which part of a row is left out, and why
LeaveOut = Callable[[str, str], None]

MAX_LABELS = 100  # of one row
MAX_TEXT = 4096  # characters of a label, its name, or a reason; the rest is cut
_KIND_NUMBERS: Mapping[object, int] = {word: number for number, word in enumerate(KINDS) if word}
_STATUS_NUMBERS: Mapping[object, int] = {word: number for number, word in enumerate(STATUSES) if word}
_SEQS = range(2**63)
_STEP_WORDS = dict.fromkeys(("kind", "status", "parent", "stop")).keys()


class RowWords(NamedTuple):
    """What is said about one row: numbers of KINDS and STATUSES, and the seq of its parent."""

    kind: int = 0
    status: int = 0
    parent: int = NO_PARENT
    stop: str = ""
    labels: Mapping[str, str] = MappingProxyType({})


class StepWords(TypedDict, total=False):
    """What a loop may say about a step, by name: see Recorder.step."""

    kind: Kind | None
    status: Status | None
    parent: int | None
    stop: str | None


def words_of_step(words: StepWords, leave_out: LeaveOut) -> RowWords | None:
    """Return what is said about a step, without what cannot be recorded of it; None if nothing is left."""
    kind, status, parent, stop = (words.get(name) for name in _STEP_WORDS)
    if not words.keys() <= _STEP_WORDS:
        leave_out("step", f"{sorted(words.keys() - _STEP_WORDS)} are no words for a step")
    found = RowWords(
        kind=0 if kind is None else _number_of(kind, _KIND_NUMBERS, "kind", leave_out),
        status=0 if status is None else _number_of(status, _STATUS_NUMBERS, "status", leave_out),
        parent=NO_PARENT if parent is None else _parent(parent, leave_out),
        stop="" if stop is None else plain_text(stop, "stop", leave_out),
    )
    return None if found == RowWords() else found


def words_of_reset(labels: Mapping[str, object] | None, leave_out: LeaveOut) -> RowWords | None:
    """Return what is said about a reset, likewise."""
    texts = labels_of(labels, leave_out)
    return RowWords(labels=texts) if texts else None


def labels_of(labels: Any, leave_out: LeaveOut) -> dict[str, str]:  # noqa: ANN401 - whatever a loop passes
    """Return labels as texts: at most MAX_LABELS, of at most MAX_TEXT characters. Never raises."""
    try:
        pairs = [] if labels is None else list(labels.items())
    except Exception as error:  # noqa: BLE001 - whatever the caller gave
        leave_out("labels", f"{error}. Pass a dict of texts")
        return {}
    if len(pairs) > MAX_LABELS:
        leave_out("labels", f"{len(pairs)} labels: the first {MAX_LABELS} are kept")
    return {
        plain_text(name, "labels", leave_out): plain_text(value, "labels", leave_out)
        for name, value in pairs[:MAX_LABELS]
    }


def plain_text(value: object, part: str, leave_out: LeaveOut) -> str:
    """Return the text of a value as UTF-8 can say it, cut to MAX_TEXT characters. Never raises."""
    text = utf8_text(value) if type(value) is str else text_of_object(value)
    if len(text) > MAX_TEXT:
        leave_out(part, f"a text of {len(text)} characters is cut to {MAX_TEXT}")
    return text[:MAX_TEXT]


def shown(value: object) -> str:
    """Return a value for a message, shortened. Never raises."""
    try:
        return repr(value)[:100]
    except Exception:  # noqa: BLE001 - the objects are the user's
        return f"a {type(value).__name__}"


def _number_of(word: object, numbers: Mapping[object, int], part: str, leave_out: LeaveOut) -> int:
    try:
        number = numbers.get(word)
    except TypeError:  # it cannot be a key
        number = None
    if number is None:
        leave_out(part, f"{part}={shown(word)} is not one of {', '.join(map(str, numbers))}")
        return 0
    return number


def _parent(parent: Any, leave_out: LeaveOut) -> int:  # noqa: ANN401 - an integer of any type
    try:
        seq = operator.index(parent)
    except Exception:  # noqa: BLE001 - whatever the caller gave
        seq = NO_PARENT
    if seq not in _SEQS:
        leave_out("parent", f"parent={shown(parent)} is not the seq of a step; pass what reset() or step() returned")
        return NO_PARENT
    return seq


@dataclass(slots=True)
class WordsOfRows:
    """What is said about the rows of a batch, by index of the row; a row that nothing is said about is not in it.

    Attributes:
        absent: bits of the values that do not exist (ABSENT_OBSERVATION, ABSENT_ACTION).
        size: bytes, roughly.
    """

    absent: dict[int, int] = field(default_factory=dict)
    kind: dict[int, int] = field(default_factory=dict)
    status: dict[int, int] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)
    stop: dict[int, str] = field(default_factory=dict)
    labels: dict[int, Mapping[str, str]] = field(default_factory=dict)
    size: int = 0

    def take(self, row: int, said: RowWords) -> None:
        """Note what is said about a row."""
        if said.kind:
            self.kind[row] = said.kind
        if said.status:
            self.status[row] = said.status
        if said.parent != NO_PARENT:
            self.parent[row] = said.parent
        if said.stop:
            self.stop[row] = said.stop
        if said.labels:
            self.labels[row] = said.labels
        self.size += 20 + len(said.stop) + sum(len(name) + len(text) for name, text in said.labels.items())

    def cut_to(self, count: int) -> None:
        """Forget what is said about rows from `count` on."""
        self.absent = {row: value for row, value in self.absent.items() if row < count}
        self.kind = {row: value for row, value in self.kind.items() if row < count}
        self.status = {row: value for row, value in self.status.items() if row < count}
        self.parent = {row: value for row, value in self.parent.items() if row < count}
        self.stop = {row: value for row, value in self.stop.items() if row < count}
        self.labels = {row: value for row, value in self.labels.items() if row < count}

    def columns(self, count: int) -> dict[str, Any]:
        """Return the columns of a batch of `count` rows; None for one that nothing is said in."""
        return {
            "absent": dense(self.absent, count, 0, np.uint8),
            "kind": dense(self.kind, count, 0, np.uint8),
            "status": dense(self.status, count, 0, np.uint8),
            "parent": dense(self.parent, count, NO_PARENT, np.int64),
        }

    def stops(self, count: int) -> tuple[str, ...]:
        """Return the column `stop`, empty if nothing is said in it."""
        return tuple(self.stop.get(row, "") for row in range(count)) if self.stop else ()

    def label_columns(self) -> tuple[Label, ...]:
        """Return the labels by name."""
        found: dict[str, dict[int, str]] = {}
        for row in sorted(self.labels):
            for name, text in self.labels[row].items():
                found.setdefault(name, {})[row] = text
        return tuple(
            Label(name, np.fromiter(texts, np.uint32, len(texts)), tuple(texts.values()))
            for name, texts in found.items()
        )


def dense(values: Mapping[int, int], count: int, none: int, dtype: type[np.generic]) -> NDArray[Any] | None:
    """Return a column of `count` values, `none` where a row has none; None if no row has one."""
    if not values:
        return None
    column = np.full(count, none, dtype)
    column[list(values)] = list(values.values())
    return column
