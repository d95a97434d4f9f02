"""Takes from Faust's stream the methods that lose records or double them."""

from __future__ import annotations

from runbus.config.errors import ConfigError
from runbus.faust.library import faust


class LogStream(faust.Stream):  # type: ignore[misc]  # Faust is not typed
    """What an agent is given: hand it to `LogTopic.events`."""

    def take(self, *_arguments: object, **_options: object) -> None:
        """Refuse."""
        raise ConfigError("stream.take() acknowledges a batch whose body failed: take records one by one")

    take_events = take_with_timestamp = take

    def group_by(self, *_arguments: object, **_options: object) -> None:
        """Refuse."""
        raise ConfigError(
            "stream.group_by() sends records through another topic, some of them twice: send what you need to "
            "app.own_topic(), under the key that you need"
        )
