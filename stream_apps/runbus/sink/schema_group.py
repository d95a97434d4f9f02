"""Holds the records of a range that are one insert: those of one writer schema."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema
from runbus.sink import values
from runbus.sink.api import FramedRecord, Route
from runbus.sink.container import Framed


@dataclass(frozen=True, slots=True)
class SchemaGroup:
    """Records of a range with one writer schema, and the token of their insert."""

    writer: AvroSchema
    token: str
    records: tuple[FramedRecord, ...]

    @property
    def steps(self) -> int:
        """Steps of its records."""
        return sum(record.steps for record in self.records)

    def without(self, offsets: Collection[int]) -> SchemaGroup:
        """Return the group without the records at these offsets."""
        return replace(self, records=tuple(record for record in self.records if record.offset not in offsets))

    def part(self, token: str, offsets: Collection[int]) -> SchemaGroup:
        """Return the records at these offsets, to be inserted under another token."""
        return SchemaGroup(self.writer, token, tuple(record for record in self.records if record.offset in offsets))

    def framed(self) -> Iterator[Framed]:
        """Return its values as a container takes them."""
        return ((record.offset, record.value or b"", record.start) for record in self.records)

    async def undecodable(self, route: Route) -> dict[int, InvalidValue]:
        """Return offset -> error of each record that does not decode; lets other tasks run between records."""
        bad: dict[int, InvalidValue] = {}
        for record in self.records:
            try:
                values.check(route, record, self.writer)
            except InvalidValue as error:
                bad[record.offset] = error
            await asyncio.sleep(0)
        return bad
