"""Makes an app of Faust with the settings that its author should not have to find out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from runbus.config.catalogue import STREAMS_INSTANCE_ID, STREAMS_SESSION_SECONDS
from runbus.config.errors import ConfigError
from runbus.config.sources import read_sources
from runbus.faust.library import CommittedTransport, faust
from runbus.faust.own_topics import prepare
from runbus.faust.settings import check_settings, settings_of
from runbus.faust.stream import LogStream
from runbus.kafka.principals import FAUST
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread
from runbus.schemas.codec import Codec
from runbus.schemas.known_schemas import KnownSchemas
from runbus.schemas.registry import codec

_NAME = re.compile("[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
MakeAgent: TypeAlias = Callable[[Callable[[LogStream], Awaitable[None]]], Any]


class LogApp(faust.App):  # type: ignore[misc]
    """An app of Faust on the topics of RunBus; see `new_app`.

    Attributes:
        kafka: RunBus's settings of the broker.
        codec: of RunBus's values.
        schemas: the schemas of the values that came so far.
        read: full names of RunBus's topics that it reads.
        made: full names of the topics of its own.
    """

    kafka: KafkaSettings
    codec: Codec
    schemas: KnownSchemas
    read: set[str]
    made: set[str]

    def agent(self, *args: Any, concurrency: int = 1, **options: Any) -> MakeAgent:  # noqa: ANN401
        """Return what makes an agent of a function, as Faust's. Raises ConfigError for more than one at a time."""
        if concurrency != 1:
            raise ConfigError("concurrency > 1 commits past records that are still worked on: start more processes")
        made: MakeAgent = super().agent(*args, concurrency=concurrency, **options)
        return made

    def own_topic(self, name: str, **options: Any) -> Any:  # noqa: ANN401
        """Return a topic of this app's own, `<prefix>faust.<app>-<name>`; it is made at the start, like a changelog.

        It has as many partitions as what the app reads. Values are JSON unless `value_serializer` says otherwise.
        """
        full = f"{self.conf.id}-{name}"
        self.made.add(full)
        return self.topic(full, **options)

    async def on_first_start(self) -> None:
        """Check settings and topics before anything is read. Raises RunBusError."""
        check_settings(self.conf, self.kafka)
        await in_thread(lambda: prepare(self), "runbus-faust")
        await super().on_first_start()

    def _create_directories(self) -> None:
        """Make none: every table is in memory."""

    def _new_transport(self) -> Any:  # noqa: ANN401
        return CommittedTransport(self.conf.broker_consumer, self)


def new_app(name: str, kafka: KafkaSettings | None = None, **options: Any) -> LogApp:  # noqa: ANN401
    """Return an app of Faust on RunBus's broker, with its credentials, and with settings that lose as little as can be.

    Args:
        name: of the app; its group, its changelogs and its topics begin with `<prefix>faust.<name>`.
        kafka: the broker; default: environment and configuration file.
        options: other settings of Faust. Those that are not safe are refused, with the reason. Session and instance id
            are RUNBUS_STREAMS_SESSION_SECONDS and RUNBUS_STREAMS_INSTANCE_ID, unless they are given.

    Raises:
        ConfigError: a setting is unusable or unsafe.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"app {name[:100]!r}: give it a name of 1 to 40 lower-case letters, digits and '-', beginning with a letter"
        )
    sources = read_sources()
    kafka = KafkaSettings.load(sources) if kafka is None else kafka
    worker = {
        "broker_session_timeout": sources.get(STREAMS_SESSION_SECONDS),
        "consumer_group_instance_id": sources.get(STREAMS_INSTANCE_ID) or None,
    }
    settings = settings_of(kafka, {**worker, **options})
    app = LogApp(f"{kafka.topic_prefix}{FAUST}{name}", Stream=LogStream, **settings)
    app.kafka, app.codec = kafka, codec(sources)
    app.schemas, app.read, app.made = KnownSchemas(app.codec), set(), set()
    check_settings(app.conf, kafka)
    return app
