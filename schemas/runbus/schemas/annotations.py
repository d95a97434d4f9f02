"""Says under which key an annotation lies, and which one a key names.

The topic `annotations` is compacted: the newest record of a key holds, and a record without a value (a tombstone) has
removed what its key names.
"""

from __future__ import annotations

from typing import Any

from runbus.config.errors import InvalidValue
from runbus.schemas.events import Annotation

_NONE = {"attempt": 0, "env": -1, "episode": -1, "step": -1}


def annotation_key(annotation: Annotation) -> bytes:
    """Return the Kafka key: two annotations have the same one if the newer replaces the other.

    It begins with `run_id/agent_id`, as the keys of all topics of a run; numbers that say nothing are left out:
    `run-1//////tag/best`, `run-1/worker-0/0/0/17//note/5c1a`. The name stands last, and may have a `/` in it.
    """
    numbers = [_said(getattr(annotation, field), none) for field, none in _NONE.items()]
    parts = (annotation.run_id, annotation.agent_id, *numbers, annotation.kind, annotation.name)
    return "/".join(parts).encode()


def _said(number: int, none: int) -> str:
    return "" if number == none else str(number)


def removed_by(key: bytes | None, timestamp_ms: int) -> Annotation:
    """Return what a tombstone says: the annotation of its key, removed at that time (milliseconds).

    Raises:
        InvalidValue: it is not the key of an annotation.
    """
    try:
        run, agent, *numbers, kind, name = (key or b"").decode().split("/", 7)
        said: dict[str, Any] = {
            field: int(text) for (field, _), text in zip(_NONE.items(), numbers, strict=True) if text
        }
    except ValueError as error:
        raise InvalidValue(f"{(key or b'')[:100]!r} is not the key of an annotation") from error
    annotation = Annotation(
        run_id=run, agent_id=agent, kind=kind, name=name, sent_at=timestamp_ms * 1000, removed=True, **said
    )
    annotation.encode()
    return annotation
