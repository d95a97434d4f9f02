"""Makes annotations: checked, dated, and under a name that makes the same thing said twice one thing."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

from runbus.annotations.place import Place
from runbus.config.errors import ConfigError, InvalidValue
from runbus.kafka.topics import check_id
from runbus.schemas.events import Annotation

NOTE, TAG, PIN = "note", "tag", "pin"
MAX_TEXT_BYTES = 64 * 1024
_MAX_NAME_BYTES = 255


def new_note(place: Place, text: str, author: str, name: str = "") -> Annotation:
    """Return a note; without a name it is called by its text, so the same text again is the same note.

    Raises:
        ConfigError: no text, or more than 64 KiB; or a bad name.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not text.strip() or size > MAX_TEXT_BYTES:
        raise ConfigError(f"a note has a text of at most {MAX_TEXT_BYTES} bytes, this one has {size}")
    name = name or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return new_annotation(place, NOTE, name, author, text)


def new_annotation(place: Place, kind: str, name: str, author: str, text: str = "") -> Annotation:
    """Return an annotation, said now.

    Raises:
        ConfigError: a tag or a note without a name, a pin with one, a name longer than 255 bytes or with control
            characters, a kind that is no word, or a text that is not UTF-8.
    """
    if kind in (TAG, NOTE) and not name:
        raise ConfigError(f"a {kind} has a name: say which")
    if kind == PIN and name:
        raise ConfigError(f"a pin has no name: leave out {name[:100]!r}")
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES or any(not c.isprintable() for c in name):
        raise ConfigError(f"name {name[:40]!r}: at most {_MAX_NAME_BYTES} bytes, without control characters")
    made = Annotation(**place.fields(), kind=kind, name=name, text=text, author=author, sent_at=time.time_ns() // 1000)
    try:
        check_id("kind", kind)
        made.encode()
    except (InvalidValue, UnicodeEncodeError) as error:
        raise ConfigError(f"the {kind[:100]} cannot be kept: {error}") from error
    return made


def removal(annotation: Annotation) -> Annotation:
    """Return what says that an annotation holds no more."""
    return replace(annotation, text="", removed=True)
