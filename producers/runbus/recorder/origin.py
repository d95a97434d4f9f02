"""Checks what a recorder says about its run and about the stream that began its own."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbus.config.errors import ConfigError
from runbus.recorder.row_words import labels_of, plain_text

_STREAM = re.compile(r"[^/]+/[^/]+/[0-9]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Labels and tags of the run, and the stream and step that began this stream.

    Attributes:
        parent: `run/agent/attempt`, or empty.
        parent_seq: of a step of the parent; -1 = none is named.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    parent: str = ""
    parent_seq: int = -1


def origin_of(
    labels: Mapping[str, object] | None, tags: Iterable[str] | str | None, parent: str, parent_seq: int | None
) -> Origin:
    """Return the origin. Raises ConfigError for what cannot be recorded."""
    if parent and not _STREAM.fullmatch(parent):
        raise ConfigError(f"parent={parent!r} is no stream: give a recorder, or its `stream_id`")
    if parent_seq is not None and not parent:
        raise ConfigError("parent_seq= needs parent=: the stream that this step is of")
    return Origin(
        labels_of(labels, _refuse), _tags(tags), parent, -1 if parent_seq is None else _checked_seq(parent_seq)
    )


def _tags(tags: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever a user passes
    try:
        given = () if tags is None else (tags,) if isinstance(tags, str) else tuple(tags)
    except TypeError as error:
        raise ConfigError(f"tags={tags!r} are no texts") from error
    return tuple(plain_text(tag, "tags", _refuse) for tag in given)


def _checked_seq(seq: Any) -> int:  # noqa: ANN401 - an integer of any type
    try:
        checked = operator.index(seq)
    except TypeError as error:
        raise ConfigError(f"parent_seq={seq!r} is no integer") from error
    if not 0 <= checked < 2**63:
        raise ConfigError(f"parent_seq={seq!r} is not the seq of a step")
    return checked


def _refuse(part: str, why: str) -> None:
    raise ConfigError(f"{part}= cannot be recorded: {why}")
