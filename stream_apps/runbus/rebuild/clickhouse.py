"""Stores the log in a second database, compares it with the one in use, and takes over what differs, if told so.

What is compared is fixed before: the offsets that the log has, up to the one that the sink's group had committed when
the rebuild began. Of these the sink inserts nothing any more, so it may go on meanwhile. Rows are taken over by offset
and the table stays: it remembers the tokens of the sink's inserts, without which one that comes late would be stored
twice (docs/decisions/0020).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import StoredTopic
from runbus.config.errors import RunBusError
from runbus.config.progress import OnProgress, unseen
from runbus.kafka.admin import topic_id
from runbus.kafka.model import TopicIdPartition
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import TOPICS
from runbus.rebuild.loading import Loaded, Loader
from runbus.rebuild.rows import DifferentOffset, TwoTables
from runbus.rebuild.shadow import shadow
from runbus.sink.ranges import RangeLimits
from runbus.sink.routes import ROUTES
from runbus.sink.store import ClickHouseStore

_COMPACTED = frozenset(topic.name for topic in TOPICS if "compact" in topic.cleanup)


@dataclass(frozen=True, slots=True)
class RebuiltPartition:
    """One partition that was compared.

    Attributes:
        stored: its topic and table.
        source: the partition.
        first, cut: the offsets [first, cut) were compared.
        refused: records among them that cannot be stored.
        different: the offsets whose rows differ.
        swapped: the new rows are in use.
    """

    stored: StoredTopic
    source: TopicIdPartition
    first: int
    cut: int
    refused: int
    different: tuple[DifferentOffset, ...] = ()
    swapped: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return it by name, as JSON has it."""
        return {
            "topic": self.source.topic,
            "topic_id": self.source.topic_id,
            "partition": self.source.partition,
            "first_offset": self.first,
            "cut": self.cut,
            "refused": self.refused,
            "different": [one._asdict() for one in self.different],
            "swapped": self.swapped,
        }


class RowsRebuild:
    """Rebuilds tables.

    Args:
        installation: the log and ClickHouse.
        topics: whose tables.
        limits: of one insert.
        swap_different: take over rows that differ.
        on_progress: takes how many offsets are stored again.
    """

    def __init__(
        self,
        installation: Installation,
        topics: Sequence[StoredTopic],
        limits: RangeLimits,
        *,
        swap_different: bool = False,
        on_progress: OnProgress = unseen,
    ) -> None:
        self._installation = installation
        self._topics = topics
        self._limits = limits
        self._swap = swap_different
        self._on_progress = on_progress

    def run(self) -> list[RebuiltPartition]:
        """Store again, compare, take over if told so; return what was found.

        Raises:
            RunBusError: the log cannot be read, or something is in the way.
            StoreError: ClickHouse refuses, or does not answer.
        """
        settings = self._installation.clickhouse
        with shadow(settings) as beside, closing(connect(beside)) as client:
            return [done for stored in self._topics for done in self._topic(stored, client, beside.database)]

    def _topic(self, stored: StoredTopic, client: Client, beside: str) -> list[RebuiltPartition]:
        kafka, group = self._installation.kafka, self._installation.group
        route = next(route for route in ROUTES if route.topic == stored.topic)
        tables = TwoTables(client, stored.table, self._installation.clickhouse.database, beside)
        done: list[RebuiltPartition] = []
        with open_topic(kafka, stored.topic, group) as log:
            cuts = log.committed()

            async def load() -> list[Loaded]:
                store = ClickHouseStore(client, group)
                loader = Loader(store, self._installation.codec, self._limits, self._on_progress)
                return [await loader.load(log, route, partition, cut) for partition, cut in sorted(cuts.items())]

            for loaded in asyncio.run(load()):
                different = _different(stored, tables, loaded)
                if different and self._swap:
                    self._take_over(stored, tables, loaded, different, log.committed())
                done.append(
                    RebuiltPartition(
                        *(stored, loaded.source, loaded.first, loaded.cut, loaded.refused, different),
                        swapped=bool(different) and self._swap,
                    )
                )
            if topic_id(kafka, log.name) != log.id:
                raise RunBusError(f"{log.name} was created anew meanwhile: rebuild again")
        return done

    def _take_over(
        self,
        stored: StoredTopic,
        tables: TwoTables,
        loaded: Loaded,
        different: Sequence[DifferentOffset],
        committed: dict[int, int],
    ) -> None:
        """Take over the new rows. Raises RunBusError if they are not what the table has then."""
        at = loaded.source
        if committed[at.partition] < loaded.cut:
            raise RunBusError(
                f"{at}: the sink's group was moved back below {loaded.cut} meanwhile, so that the sink stores these "
                "offsets itself: rebuild again once it is past them"
            )
        tables.replace(at, [one.offset for one in different])
        if left := _different(stored, tables, loaded):
            raise RunBusError(
                f"{at}: {len(left)} offsets from {left[0].offset} on differ still: somebody else writes to the tables"
            )


def _different(stored: StoredTopic, tables: TwoTables, loaded: Loaded) -> tuple[DifferentOffset, ...]:
    """Return the offsets that differ, but for those that compaction took out of the log."""
    found = tables.differing(loaded.source, loaded.first, loaded.cut)
    if stored.topic not in _COMPACTED:
        return tuple(found)
    return tuple(one for one in found if one.new or one.offset in loaded.records)
