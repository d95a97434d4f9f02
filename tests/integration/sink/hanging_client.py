"""Runs a sink whose first consumer hangs: its nth commit never returns, as librdkafka's once did after an outage.

    python -m tests.integration.sink.hanging_client N

Consumers that only ask for offsets are left alone.
"""

from __future__ import annotations

import runpy
import sys
import threading
from typing import Any

from confluent_kafka import Consumer

from runbus.kafka import clients


class HangingConsumer(Consumer):
    """A consumer; the nth commit of the first one of the process waits for ever."""

    made = 0
    nth = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        HangingConsumer.made += 1
        self._left = self.nth if HangingConsumer.made == 1 else 0

    def commit(self, *args: Any, **options: Any) -> Any:
        """Commit, or hang."""
        self._left -= 1
        if self._left == 0:
            print("the commit hangs", flush=True)
            threading.Event().wait()
        return super().commit(*args, **options)


def main() -> None:
    """Replace the member of the group, and run the sink."""
    HangingConsumer.nth = int(sys.argv[1])
    setattr(clients, "Consumer", _for_members)  # noqa: B010 - mypy knows the name as a class
    sys.argv = ["runbus.sink"]
    runpy.run_module("runbus.sink", run_name="__main__", alter_sys=True)


def _for_members(config: dict[str, object], **options: Any) -> Consumer:
    kind = HangingConsumer if config.get("client.id") == "runbus-sink" else Consumer
    return kind(config, **options)


if __name__ == "__main__":
    main()
