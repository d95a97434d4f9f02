"""A Confluent-compatible schema registry, through the client of confluent-kafka (extra `registry`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from runbus.config import catalogue
from runbus.config.errors import ConfigError
from runbus.config.sources import Sources
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

T = TypeVar("T")
_TRANSIENT = (408, 429)
_TIMEOUT_S = 10  # one request; callers retry later instead of waiting longer


def subject(topic: str) -> str:
    """Return the registry's subject of a topic's values (TopicNameStrategy)."""
    return f"{topic}-value"


def codec(sources: Sources) -> Codec:
    """Return the codec that the settings ask for. Connects to nothing yet."""
    url = sources.text(catalogue.REGISTRY_URL)
    return Codec(SchemaRegistry(url) if url else None)


class SchemaRegistry:
    """Looks schemas up and keeps what it found; thread safe. It registers only in `push`.

    Args:
        url: base URL of the Confluent API.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = _client(url)
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, bytes], int] = {}
        self._schemas: dict[int, AvroSchema] = {}

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        """Return the id of `schema` for a topic. Raises UnknownSchema or RegistryUnavailable."""
        key = (subject(topic), schema.fingerprint)
        with self._lock:
            if key not in self._ids:
                hint = f"{schema.name} is not registered under {key[0]}: run `runbus schema push`"
                found = self._ask(hint, lambda: self._client.lookup_schema(key[0], _registry_schema(schema)))
                self._ids[key] = int(found.schema_id or 0)
            return self._ids[key]

    def schema(self, schema_id: int) -> AvroSchema:
        """Return the schema of that id. Raises UnknownSchema or RegistryUnavailable."""
        with self._lock:
            if schema_id not in self._schemas:
                hint = f"schema id {schema_id} is not known to the registry at {self._url}"
                found = self._ask(hint, lambda: self._client.get_schema(schema_id))
                self._schemas[schema_id] = AvroSchema.from_json(str(found.schema_str))
            return self._schemas[schema_id]

    def push(self, topic: str, schema: AvroSchema) -> int:
        """Register `schema` for a topic and return its id. Raises UnknownSchema where the registry refuses it."""
        hint = f"the registry refuses {schema.name} for {topic}: it does not fit the versions before it"
        return int(self._ask(hint, lambda: self._client.register_schema(subject(topic), _registry_schema(schema))))

    def _ask(self, hint: str, request: Callable[[], T]) -> T:
        """Translate the client's errors; `hint` is the text where the registry itself says no."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            return request()
        except SchemaRegistryError as error:
            if 400 <= error.http_status_code < 500 and error.http_status_code not in _TRANSIENT:
                raise UnknownSchema(f"{hint} ({error.error_message})") from error
            raise self._unavailable(error) from error
        except (OSError, _http_error()) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> RegistryUnavailable:
        return RegistryUnavailable(f"no schema registry answers at {self._url} ({error}): check SCHEMA_REGISTRY_URL")


def _client(url: str) -> SchemaRegistryClient:
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise ConfigError("SCHEMA_REGISTRY_URL is set: install the extra, `pip install 'runbus[registry]'`") from error
    try:
        return SchemaRegistryClient({"url": url, "timeout": _TIMEOUT_S, "max.retries": 1})
    except ValueError as error:
        raise ConfigError(f"SCHEMA_REGISTRY_URL={url!r} is not usable: {error}") from error


def _registry_schema(schema: AvroSchema) -> Schema:
    from confluent_kafka.schema_registry import Schema

    return Schema(schema.text, "AVRO")


def _http_error() -> type[Exception]:
    import httpx

    return httpx.HTTPError
