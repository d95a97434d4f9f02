"""Asks a Confluent-compatible schema registry, through the client of confluent-kafka (extra `registry`)."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from runbus.config.address import without_password
from runbus.config.errors import ConfigError
from runbus.config.files import TlsFiles
from runbus.config.registry import RegistrySettings
from runbus.config.secret import Secret
from runbus.config.sources import Sources
from runbus.kafka.topics import TOPICS
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

K = TypeVar("K")
V = TypeVar("V")
# Codes of a registry that has no such subject, version or schema. Another 404 is another server's.
_NOT_FOUND = (40401, 40402, 40403)
_REFUSED = (409, 422)  # incompatible with the versions before it, or invalid
# Two attempts, each of at most this long to connect and then to answer: a silent server costs 8 s, not the client's
# default of no limit. The caller retries later instead of waiting longer: a consumer must poll within its interval.
_TIMEOUT_S = 4
_RETRY_AFTER_MS = 200


def subject(topic: str) -> str:
    """Return the registry's subject of a topic's values (TopicNameStrategy)."""
    return f"{topic}-value"


def codec(sources: Sources) -> Codec:
    """Return the codec that the settings ask for. Connects to nothing yet."""
    return Codec(registry(sources))


def registry(sources: Sources) -> SchemaRegistry | None:
    """Return the registry of the settings, None if SCHEMA_REGISTRY_URL is empty. Connects to nothing yet."""
    settings = RegistrySettings.load(sources)
    return SchemaRegistry(settings.url, settings.user, settings.password, settings.tls) if settings.url else None


class SchemaRegistry:
    """Looks schemas up and keeps what it found; thread safe. It registers only in `push`.

    What is known already is answered without waiting, also while another thread waits for the network. A request takes
    at most about 10 s.

    Args:
        url: base URL of the Confluent API.
        user: for basic authentication; empty = none.
        tls: files for an https address. They and the password are read for each question, so they can be rotated.
    """

    def __init__(self, url: str, user: str = "", password: Secret | None = None, tls: TlsFiles | None = None) -> None:
        self._url = url
        self._user = user
        self._password = password
        self._tls = tls or TlsFiles()
        with self._client():  # says now what is wrong with the address
            pass
        self._lock = threading.Lock()  # one question at a time; never held to read what is known
        self._ids: dict[tuple[str, bytes], int] = {}
        self._schemas: dict[int, AvroSchema] = {}

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        """Return the id of `schema` for a topic. Raises UnknownSchema or RegistryUnavailable."""
        key = (subject(topic), schema.fingerprint)
        return self._known(self._ids, key, lambda: self._find_id(key[0], schema))

    def schema(self, schema_id: int) -> AvroSchema:
        """Return the schema of that id. Raises UnknownSchema, RegistryUnavailable, or InvalidValue: not Avro."""
        return self._known(self._schemas, schema_id, lambda: self._find_schema(schema_id))

    def _known(self, cache: dict[K, V], key: K, find: Callable[[], V]) -> V:
        found = cache.get(key)
        if found is None:
            with self._lock:
                found = cache.get(key)
                if found is None:
                    found = cache[key] = find()
        return found

    def _find_id(self, name: str, schema: AvroSchema) -> int:
        hint = f"{schema.name} is not registered under {name}: run `runbus schema push`"
        found = self._ask(hint, lambda client: client.lookup_schema(name, _registry_schema(schema)))
        if found.schema_id is None:
            raise self._unavailable("it answers, but not with an id")
        return found.schema_id

    def _find_schema(self, schema_id: int) -> AvroSchema:
        hint = f"schema id {schema_id} is not known to the registry at {self._url}"
        found = self._ask(hint, lambda client: client.get_schema(schema_id))
        if not found.schema_str:
            raise self._unavailable("it answers, but not with a schema")
        return AvroSchema.from_json(found.schema_str)

    def push(self, topic: str, schema: AvroSchema) -> int:
        """Register `schema` for a topic and return its id. Raises UnknownSchema if the registry refuses it."""
        hint = f"the registry refuses {schema.name} for {topic}: it does not fit the versions before it"
        name = subject(topic)
        return int(self._ask(hint, lambda client: client.register_schema(name, _registry_schema(schema))))

    def push_all(self, prefix: str) -> list[tuple[str, str, int]]:
        """Register the schema of each topic that has one; return (topic, record name, id). Raises like `push`."""
        return [
            (prefix + topic.name, topic.schema, self.push(prefix + topic.name, schema(topic.schema)))
            for topic in TOPICS
            if topic.schema is not None
        ]

    def _client(self) -> SchemaRegistryClient:
        """Return a client for one question: questions are rare, and an open connection would not survive a fork."""
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ImportError as error:
            raise ConfigError(
                "SCHEMA_REGISTRY_URL is set: install the extra, `pip install 'runbus[registry]'`"
            ) from error
        config = {"url": self._url, "timeout": _TIMEOUT_S, "max.retries": 1, "retries.wait.ms": _RETRY_AFTER_MS}
        if self._user:
            config["basic.auth.user.info"] = f"{self._user}:{self._password.reveal() if self._password else ''}"
        names = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
        config |= {name: path for name, path in zip(names, self._tls, strict=True) if path}
        try:
            return SchemaRegistryClient(config)
        except ValueError as error:  # its text may hold the user's password
            raise ConfigError(f"SCHEMA_REGISTRY_URL is not usable: {without_password(str(error))}") from error
        except OSError as error:
            raise ConfigError(f"SCHEMA_REGISTRY_SSL_* cannot be used: {error}") from error

    def _ask(self, hint: str, request: Callable[[SchemaRegistryClient], V]) -> V:
        """Translate the client's errors; `hint` is the text if the registry itself says no."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        network: tuple[type[Exception], ...] = (OSError, *_http_errors())
        try:
            with self._client() as client:
                return request(client)
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND or error.http_status_code in _REFUSED:
                raise UnknownSchema(f"{hint} ({error.error_message})") from error
            raise self._unavailable(f"HTTP {error.http_status_code}: {error.error_message}") from error
        except network as error:
            raise self._unavailable(str(error) or type(error).__name__) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._unavailable("what answers there is not a schema registry") from error

    def _unavailable(self, reason: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"no schema registry answers at {self._url} ({reason[:300]}): check SCHEMA_REGISTRY_URL, and "
            "SCHEMA_REGISTRY_USER if it wants a user"
        )


def _registry_schema(schema: AvroSchema) -> Schema:
    from confluent_kafka.schema_registry import Schema

    return Schema(schema.text, "AVRO")


def _http_errors() -> tuple[type[Exception], ...]:
    """Return the network errors of the HTTP library that confluent-kafka uses: httpx2 if it is installed."""
    found = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name).HTTPError)
        except ImportError:
            continue
    return tuple(found)
