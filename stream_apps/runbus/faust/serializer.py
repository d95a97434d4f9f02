"""Writes and reads events of RunBus as values of topics and tables of an app's own."""

from __future__ import annotations

from typing import Any

from runbus.faust.library import codecs
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import Event


class EventSerializer(codecs.Codec):  # type: ignore[misc]  # Faust is not typed
    """A codec of Faust for one kind of event: `app.own_topic(..., value_serializer=EventSerializer(LiveMetrics))`.

    It reads both framings. It is for what the app itself writes: Faust drops a value that its codec refuses. RunBus's
    own topics are read with `runbus.faust.steps` and its like.

    Args:
        kind: the class of the events, of `runbus.schemas.events`.
        codec: with a registry it writes Confluent framing; default: single-object encoding, for which the package's
            schemas are enough.
        topic: whose subject in the registry the schema has.
    """

    def __init__(
        self, kind: type[Event], codec: Codec | None = None, topic: str = "", children: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(children, kind=kind, codec=codec, topic=topic)
        self._kind = kind
        self._codec = codec or Codec()
        self._topic = topic

    def _dumps(self, event: Event) -> bytes:
        """Raises InvalidValue if a field does not fit the schema."""
        return self._codec.frame(self._topic, schema(self._kind.SCHEMA), event.encode())

    def _loads(self, value: bytes) -> Event:
        """Raises InvalidValue, UnknownSchema; asks the registry, if the framing names it, while the app waits."""
        writer, body = self._codec.open(value, self._kind.SCHEMA)
        return self._kind.decode(body, writer)
