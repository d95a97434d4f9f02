"""Frames Avro bodies as Kafka values, and finds the schema of a value. There are two framings; readers take both.

Avro single-object encoding (`C3 01` + CRC-64-AVRO fingerprint) needs no service; Confluent framing (`00` + schema id)
needs a registry. The body is the same bytes in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, by_fingerprint
from runbus.schemas.errors import RegistryMissing, UnknownSchema
from runbus.schemas.evolution import misfit

SINGLE_OBJECT_MARK = b"\xc3\x01"
CONFLUENT_MARK = b"\x00"
SINGLE_OBJECT_SIZE = 10
CONFLUENT_SIZE = 5


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A schema named by its CRC-64-AVRO fingerprint, 8 bytes."""

    mark: bytes

    def __str__(self) -> str:
        return f"fingerprint {self.mark.hex()}"


@dataclass(frozen=True, slots=True)
class RegistryId:
    """A schema named by its id in the registry."""

    id: int

    def __str__(self) -> str:
        return f"schema id {self.id}"


SchemaRef = Fingerprint | RegistryId


class Registry(Protocol):
    """A schema registry, as far as RunBus needs one."""

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        """Return the id of `schema` under the subject `<topic>-value`. May block on the network.

        Raises:
            UnknownSchema: it is not registered (the text says how to push it).
            RegistryUnavailable: no answer; try again later.
        """

    def schema(self, schema_id: int) -> AvroSchema:
        """Return the schema of that id. Raises like `id_of`."""


class Framing(NamedTuple):
    """The schema that a value names, and the index at which its Avro body starts."""

    ref: SchemaRef
    start: int


def framing(value: bytes | None) -> Framing | None:
    """Return the framing of a value, or None if it has none. No other function reads the framing."""
    if not value:
        return None
    return _framing(bytes(value[: CONFLUENT_SIZE if value[:1] == CONFLUENT_MARK else SINGLE_OBJECT_SIZE]))


@lru_cache(maxsize=1024)
def _framing(start: bytes) -> Framing | None:
    """Return the framing of every value that begins with these bytes: a topic has few beginnings."""
    if start[:2] == SINGLE_OBJECT_MARK and len(start) >= SINGLE_OBJECT_SIZE:
        return Framing(Fingerprint(bytes(start[2:SINGLE_OBJECT_SIZE])), SINGLE_OBJECT_SIZE)
    if start[:1] == CONFLUENT_MARK and len(start) >= CONFLUENT_SIZE:
        return Framing(RegistryId(int.from_bytes(start[1:CONFLUENT_SIZE], "big")), CONFLUENT_SIZE)
    return None


def split(value: bytes | None) -> Framing:
    """Return the framing of a value. Raises InvalidValue: empty, or neither framing."""
    found = framing(value)
    if found is None:
        raise unframed(value)
    return found


def unframed(value: bytes | None) -> InvalidValue:
    """Return the error that says why a value has no framing."""
    start = "no value" if not value else f"starts with {value[:4].hex()}"
    return InvalidValue(f"neither Avro single-object encoding nor Confluent framing: {start}")


class Codec:
    """Frames bodies for a topic and finds the schema of a value.

    Args:
        registry: writes Confluent framing with it; without, single-object encoding.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self._registry = registry
        self._prefixes: dict[tuple[str, bytes], bytes] = {}

    def frame(self, topic: str, schema: AvroSchema, body: bytes) -> bytes:
        """Return the Kafka value of an Avro body. May ask the registry once per topic and schema."""
        key = (topic, schema.fingerprint)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = self._prefix(topic, schema)
        return prefix + body

    def _prefix(self, topic: str, schema: AvroSchema) -> bytes:
        if self._registry is None:
            return SINGLE_OBJECT_MARK + schema.fingerprint
        return CONFLUENT_MARK + self._registry.id_of(topic, schema).to_bytes(4, "big")

    def resolve(self, ref: SchemaRef) -> AvroSchema:
        """Return the writer schema that `ref` names.

        Raises:
            UnknownSchema: it is not known here; upgrade RunBus.
            InvalidValue: the registry knows it, and this version cannot read it.
            RegistryMissing: it is a registry's id; set SCHEMA_REGISTRY_URL.
            RegistryUnavailable: no answer; try again later.
        """
        if isinstance(ref, RegistryId):
            if self._registry is None:
                raise RegistryMissing(
                    f"no registry is set: a value names {ref}; set SCHEMA_REGISTRY_URL and start again"
                )
            return _fitting(ref, self._registry.schema(ref.id))
        known = by_fingerprint().get(ref.mark)
        if known is None:
            raise UnknownSchema(
                f"{ref}: written by a newer version; upgrade RunBus here, then `runbus dlq retry` stores what became "
                "a dead letter"
            )
        return known

    def open(self, value: bytes | None, name: str) -> tuple[AvroSchema, bytes]:
        """Return the writer schema and the body of a value that must be a record `name`.

        Raises:
            InvalidValue: not framed, or another record, or as `resolve`.
            UnknownSchema, RegistryMissing, RegistryUnavailable: as `resolve`.
        """
        ref, start = split(value)
        assert value is not None
        writer = self.resolve(ref)
        if writer.name != name:
            raise InvalidValue(f"a {writer.name} where a {name} is expected")
        return writer, value[start:]


def _fitting(ref: SchemaRef, writer: AvroSchema) -> AvroSchema:
    reason = misfit(writer)
    if reason:
        raise InvalidValue(f"{ref}: this version cannot read what was written with it: {reason}")
    return writer
