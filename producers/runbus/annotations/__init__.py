"""Puts notes, tags and pins on runs, agents, episodes and steps, and takes them off again (docs/annotations.md).

Each call waits until the broker has it. All raise RunBusError: a name that cannot be, no broker, no right.
"""

from __future__ import annotations

from runbus.annotations.log import current, write
from runbus.annotations.making import NOTE, PIN, TAG, new_annotation, new_note, removal
from runbus.annotations.place import Place
from runbus.config.sources import read_sources
from runbus.kafka.sending import sender
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.events import Annotation
from runbus.schemas.registry import codec

__all__ = ["NOTE", "PIN", "TAG", "Annotation", "Place", "current_annotations", "note", "pin", "remove", "tag"]


def note(
    on: Place | str, text: str, *, name: str = "", author: str = "", settings: KafkaSettings | None = None
) -> Annotation:
    """Put a note on a place, or on a run by its name.

    Args:
        on: where.
        text: at most 64 KiB.
        name: what it is called; another text under the same name replaces it. Default: made from the text.
        author: who says it; default: user@host.
        settings: of the broker; default: as everywhere (docs/configuration.md).
    """
    made = new_note(_place(on), text, author or sender(), name)
    _write([made], settings)
    return made


def tag(on: Place | str, *names: str, author: str = "", settings: KafkaSettings | None = None) -> list[Annotation]:
    """Put tags on a place."""
    made = [new_annotation(_place(on), TAG, name, author or sender()) for name in names]
    _write(made, settings)
    return made


def pin(on: Place | str, *, author: str = "", settings: KafkaSettings | None = None) -> Annotation:
    """Pin a place: it stands first where it is listed."""
    made = new_annotation(_place(on), PIN, "", author or sender())
    _write([made], settings)
    return made


def remove(
    on: Place | str, kind: str, name: str = "", *, author: str = "", settings: KafkaSettings | None = None
) -> Annotation:
    """Take a note, a tag or a pin off a place; nothing happens if it is not there."""
    made = removal(new_annotation(_place(on), kind, name, author or sender()))
    _write([made], settings)
    return made


def current_annotations(run: str | None = None, *, settings: KafkaSettings | None = None) -> list[Annotation]:
    """Return the annotations that hold, of a run or of all, the one that was said first first."""
    sources = read_sources()
    return current(settings or KafkaSettings.load(sources), codec(sources), run)


def _place(on: Place | str) -> Place:
    return Place(on) if isinstance(on, str) else on


def _write(made: list[Annotation], settings: KafkaSettings | None) -> None:
    sources = read_sources()
    write(settings or KafkaSettings.load(sources), codec(sources), made)
