"""Keeps the schemas that values were written with; one that is not known yet is asked for outside of the loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, RegistryId, SchemaRef
from runbus.schemas.errors import UnknownSchema


class SchemaNeeded(Exception):
    """The registry has to be asked for a schema; then feed the rest of the records again."""

    def __init__(self, ref: RegistryId) -> None:
        super().__init__(f"{ref} is not known yet")
        self.ref = ref


@dataclass(slots=True)
class KnownSchemas:
    """The writer schemas that were met so far, by reference; the error of one that cannot be used."""

    codec: Codec
    known: dict[SchemaRef, AvroSchema | str] = field(default_factory=dict)

    def find(self, ref: SchemaRef) -> AvroSchema:
        """Return the schema. Raises SchemaNeeded, UnknownSchema."""
        found = self.known.get(ref)
        if found is None:
            if isinstance(ref, RegistryId):
                raise SchemaNeeded(ref)
            found = self.learn(ref)
        if isinstance(found, str):
            raise UnknownSchema(found)
        return found

    def learn(self, ref: SchemaRef) -> AvroSchema | str:
        """Ask the codec, which may block. Raises RegistryMissing, RegistryUnavailable."""
        try:
            found: AvroSchema | str = self.codec.resolve(ref)
        except (UnknownSchema, InvalidValue) as error:  # it is not known, or no schema that can be read
            found = str(error)
        self.known[ref] = found
        return found
