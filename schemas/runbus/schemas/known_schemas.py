"""Keeps the schemas that values were written with; one that is not known yet is asked for where waiting is no harm."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from runbus.config.deadline import Deadline
from runbus.config.errors import InvalidValue
from runbus.kafka.threads import in_thread
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, RegistryId, SchemaRef
from runbus.schemas.errors import UnknownSchema

# A registry may learn an id later, so one that it did not know is asked for again after this. Each question stops a
# partition, and takes 10 s at the most.
ASK_AGAIN_S = 60.0
# Ids that it did not know; damaged values may name any.
_MOST = 1000


class SchemaNeeded(Exception):
    """The registry has to be asked for a schema; then feed the rest of the records again."""

    def __init__(self, ref: RegistryId) -> None:
        super().__init__(f"{ref} is not known yet")
        self.ref = ref


@dataclass(slots=True)
class KnownSchemas:
    """The writer schemas that were met so far; for a while also why an id of the registry cannot be used."""

    codec: Codec
    clock: Callable[[], float] = time.monotonic
    _known: dict[SchemaRef, AvroSchema] = field(default_factory=dict)
    _refused: dict[SchemaRef, tuple[str, Deadline]] = field(default_factory=dict)

    def find(self, ref: SchemaRef, name: str) -> AvroSchema:
        """Return the schema of a record `name`. Raises SchemaNeeded, UnknownSchema, InvalidValue; never waits."""
        writer = self._known.get(ref)
        if writer is None:
            if isinstance(ref, RegistryId):
                self._raise_unknown(ref)
            writer = self._known[ref] = self.codec.resolve(ref)
        if writer.name != name:
            raise InvalidValue(f"a {writer.name} where a {name} is expected")
        return writer

    def _raise_unknown(self, ref: RegistryId) -> None:
        reason, until = self._refused.get(ref, ("", None))
        if until is None or until.passed(self.clock()):
            raise SchemaNeeded(ref)
        raise UnknownSchema(reason)

    async def learn(self, ref: RegistryId) -> None:
        """Do what `ask` does in a thread."""
        await in_thread(lambda: self.ask(ref), "runbus-registry")

    def ask(self, ref: RegistryId) -> None:
        """Ask the registry, which may take 10 s. Raises RegistryMissing, RegistryUnavailable."""
        try:
            self._known[ref] = self.codec.resolve(ref)
        except (UnknownSchema, InvalidValue) as error:  # it is not known, or no schema that can be read
            if len(self._refused) >= _MOST:
                del self._refused[next(iter(self._refused))]
            self._refused[ref] = (str(error), Deadline.after(ASK_AGAIN_S, self.clock()))
