"""Imports Faust, and changes what the topics of RunBus need of it.

Rules found by running it:

- Its consumer reads what no transaction has committed, unless the app is `exactly_once`, which must not be: then what
  an aborted transaction of `runbus.episodes` wrote would be read too.
- It makes three folders at a start, also for tables that are in memory.
- Its imports warn.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any


def _imported(name: str) -> Any:  # noqa: ANN401 - Faust is not typed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


faust: Any = _imported("faust")
codecs: Any = _imported("faust.serializers.codecs")
CrashingSupervisor: Any = _imported("mode").CrashingSupervisor
_driver: Any = _imported("faust.transport.drivers.aiokafka")


class CommittedThread(_driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is not typed
    """Reads committed records only."""

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # its fetcher is made at the start
        return consumer


class CommittedConsumer(_driver.Consumer):  # type: ignore[misc]
    """Reads committed records only."""

    def _new_consumer_thread(self) -> Any:  # noqa: ANN401
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(_driver.Transport):  # type: ignore[misc]
    """Kafka, of which committed records are read only."""

    Consumer = CommittedConsumer
