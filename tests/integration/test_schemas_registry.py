"""The schema registry: a real one (Apicurio, Confluent API), and servers that are silent, wrong or not there."""

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runbus.config.errors import ConfigError, InvalidValue
from runbus.config.secret import Secret
from runbus.config.sources import Sources
from runbus.schemas import registry as registry_module
from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.codec import RegistryId
from runbus.schemas.errors import RegistryUnavailable, UnknownSchema
from runbus.schemas.events import Heartbeat
from runbus.schemas.registry import SchemaRegistry, codec

pytestmark = pytest.mark.integration

HEARTBEAT = Heartbeat(component_id="sink-0", kind="sink", sent_at=1, started_at=0, version="0.1.0")
MOST_S = 12.0


@pytest.fixture
def topic() -> str:
    """Return a topic name of this test alone."""
    return f"t{uuid.uuid4().hex[:10]}.heartbeats"


# --- the real one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_push_and_look_up(registry: str, topic: str, name: str) -> None:
    """Each schema is registered, found by topic and by id, as it is here; a second push is the same."""
    first = SchemaRegistry(registry)
    pushed = first.push(topic, schema(name))
    assert first.push(topic, schema(name)) == pushed
    other = SchemaRegistry(registry)
    assert other.id_of(topic, schema(name)) == pushed
    assert other.schema(pushed).fingerprint == schema(name).fingerprint
    assert other.schema(pushed).dtypes == schema(name).dtypes


def test_confluent_framing_round_trip(registry: str, topic: str) -> None:
    """A value framed with the registry's id is opened by another process that has the registry only."""
    sources = Sources(environ={"SCHEMA_REGISTRY_URL": registry})
    SchemaRegistry(registry).push(topic, schema("Heartbeat"))
    value = codec(sources).frame(topic, schema("Heartbeat"), HEARTBEAT.encode())
    assert value[:1] == b"\x00"
    writer, body = codec(sources).open(value, "Heartbeat")
    assert Heartbeat.decode(body, writer) == HEARTBEAT


def test_a_schema_that_was_not_pushed_says_what_to_do(registry: str, topic: str) -> None:
    """A writer without a registered schema gets UnknownSchema with the command; a push mends it."""
    writer = SchemaRegistry(registry)
    with pytest.raises(
        UnknownSchema, match=rf"Heartbeat is not registered under {topic}-value: run `runbus schema push`"
    ):
        writer.id_of(topic, schema("Heartbeat"))
    pushed = writer.push(topic, schema("Heartbeat"))
    assert writer.id_of(topic, schema("Heartbeat")) == pushed


def test_another_schema_under_the_subject_is_unknown(registry: str, topic: str) -> None:
    """A subject that exists, with another schema, is UnknownSchema too."""
    writer = SchemaRegistry(registry)
    writer.push(topic, schema("Heartbeat"))
    with pytest.raises(UnknownSchema, match="RunEvent is not registered"):
        writer.id_of(topic, schema("RunEvent"))


def test_an_unknown_id_is_unknown(registry: str) -> None:
    """An id that is not registered is UnknownSchema and names id and registry."""
    with pytest.raises(UnknownSchema, match=r"schema id 2000000000 is not known to the registry at http"):
        codec(Sources(environ={"SCHEMA_REGISTRY_URL": registry})).open(b"\x00\x77\x35\x94\x00body", "Heartbeat")


def test_an_incompatible_schema_is_refused(registry: str, topic: str) -> None:
    """Where the subject demands compatibility, a schema that does not fit the version before it is refused."""
    from confluent_kafka.schema_registry import ConfigCompatibilityLevel, SchemaRegistryClient, ServerConfig

    writer = SchemaRegistry(registry)
    writer.push(topic, schema("Heartbeat"))
    with SchemaRegistryClient({"url": registry}) as client:
        client.set_config(f"{topic}-value", ServerConfig(compatibility=ConfigCompatibilityLevel.FULL_TRANSITIVE))
    raw = json.loads(schema("Heartbeat").text)
    fewer = AvroSchema.from_json(json.dumps({**raw, "fields": raw["fields"][1:]}))
    with pytest.raises(UnknownSchema, match="the registry refuses Heartbeat"):
        writer.push(topic, fewer)
    more = AvroSchema.from_json(
        json.dumps({**raw, "fields": [*raw["fields"], {"name": "mood", "type": "string", "default": ""}]})
    )
    assert writer.push(topic, more) != writer.id_of(topic, schema("Heartbeat"))


def test_a_schema_of_another_kind_is_invalid(registry: str, topic: str) -> None:
    """An id of a JSON schema is a value that is wrong at every retry: InvalidValue."""
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

    body = '{"type": "object", "properties": {"a": {"type": "string"}}}'
    with SchemaRegistryClient({"url": registry}) as client:
        made = client.register_schema(f"{topic}-value", Schema(body, "JSON"))
    with pytest.raises(InvalidValue, match="not an Avro record schema"):
        SchemaRegistry(registry).schema(made)


def test_a_wrong_path_is_not_an_unknown_schema(registry: str, topic: str) -> None:
    """A base URL that leads elsewhere on the right host is unavailable: nothing may be dead-lettered for it."""
    wrong = SchemaRegistry(registry.removesuffix("/apis/ccompat/v7") + "/nowhere")
    with pytest.raises(RegistryUnavailable, match="check SCHEMA_REGISTRY_URL"):
        wrong.schema(1)
    with pytest.raises(RegistryUnavailable, match="check SCHEMA_REGISTRY_URL"):
        wrong.id_of(topic, schema("Heartbeat"))


# --- a registry of our own, which counts and misbehaves -------------------------------------------------------


class _Server(ThreadingHTTPServer):
    """Answers every request with `status` and `content`, once `open` is set; remembers what was asked."""

    daemon_threads = True

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.content = status, content
        self.open = threading.Event()
        self.open.set()
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(self.headers.get("Authorization", ""))
        self.server.arrived.set()
        self.server.open.wait(30)
        try:
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(self.server.content)
        except OSError:
            pass  # the client gave up

    do_POST = do_GET  # noqa: N815 - the base class names it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass


@contextmanager
def _serving(status: int, content: bytes | str | dict[str, object]) -> Iterator[_Server]:
    text = json.dumps(content) if isinstance(content, dict) else content
    server = _Server(status, text.encode() if isinstance(text, str) else text)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.open.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (401, {"error_code": 401, "message": "Unauthorized"}),
        (403, {"error_code": 40301, "message": "Forbidden"}),
        (404, "<html>not here</html>"),
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}),
        (500, {"error_code": 50001, "message": "broken"}),
        (503, ""),
        (200, "<html>welcome</html>"),
        (200, "{}"),
        (200, "[1]"),
        (200, {"schema": None, "id": None}),
        (204, ""),
    ],
)
def test_an_answer_that_settles_nothing_is_unavailable(status: int, content: str | dict[str, object]) -> None:
    """Refused credentials, errors and answers of something else say nothing about the schema: try again later."""
    with _serving(status, content) as server:
        asking = SchemaRegistry(server.url)
        with pytest.raises(RegistryUnavailable, match="check SCHEMA_REGISTRY_URL"):
            asking.schema(1)
        with pytest.raises(RegistryUnavailable, match="check SCHEMA_REGISTRY_URL"):
            asking.id_of("t", schema("Heartbeat"))


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_the_registry_s_own_not_found_is_unknown(code: int) -> None:
    """Confluent's codes for a missing subject, version or schema are UnknownSchema."""
    with _serving(404, {"error_code": code, "message": "gone"}) as server, pytest.raises(UnknownSchema, match="gone"):
        SchemaRegistry(server.url).schema(1)


def test_an_id_is_looked_up_once() -> None:
    """Opening many values of one id asks once, also from several threads at a time."""
    with _serving(200, {"schema": schema("Heartbeat").text}) as server:
        reader = codec(Sources(environ={"SCHEMA_REGISTRY_URL": server.url}))
        value = b"\x00\x00\x00\x00\x05" + HEARTBEAT.encode()
        threads = [threading.Thread(target=reader.open, args=(value, "Heartbeat")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(100):
            reader.open(value, "Heartbeat")
        assert len(server.asked) == 1


def test_user_and_password_are_sent_and_not_shown() -> None:
    """SCHEMA_REGISTRY_USER and its password become basic authentication; an error has neither."""
    with _serving(401, {"error_code": 401, "message": "no"}) as server:
        environ = {
            "SCHEMA_REGISTRY_URL": server.url,
            "SCHEMA_REGISTRY_USER": "me",
            "SCHEMA_REGISTRY_PASSWORD": "hunter2",
        }
        with pytest.raises(RegistryUnavailable) as caught:
            codec(Sources(environ=environ)).resolve(RegistryId(1))
        assert server.headers[0] == "Basic bWU6aHVudGVyMg=="
        assert "hunter2" not in str(caught.value)


def test_what_is_known_is_answered_while_the_registry_hangs() -> None:
    """A thread that waits for an unknown id does not hold up the others."""
    with _serving(200, {"schema": schema("Heartbeat").text}) as server:
        asking = SchemaRegistry(server.url)
        known = asking.schema(1)
        server.open.clear()
        server.arrived.clear()
        waiting = threading.Thread(target=asking.schema, args=(2,))
        waiting.start()
        assert server.arrived.wait(10)
        started = time.monotonic()
        assert asking.schema(1) is known
        assert time.monotonic() - started < 1
        assert waiting.is_alive()
        server.open.set()
        waiting.join()


def test_nobody_there_is_said_at_once() -> None:
    """A refused connection is RegistryUnavailable, with address and reason, within seconds."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=rf"{url} \(.*refused"):
            SchemaRegistry(url).id_of("t", schema("Heartbeat"))
        assert time.monotonic() - started < 3


def test_a_silent_registry_is_given_up_in_time() -> None:
    """A server that accepts and never answers costs at most about ten seconds."""
    with _serving(200, "{}") as server:
        server.open.clear()
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable, match="timed out"):
            SchemaRegistry(server.url).schema(1)
        assert time.monotonic() - started < MOST_S


def test_the_settings_decide_whether_there_is_a_registry() -> None:
    """No URL, no registry; a URL that cannot be used is a ConfigError, before any connection."""
    assert registry_module.registry(Sources()) is None
    assert registry_module.registry(Sources(environ={"SCHEMA_REGISTRY_URL": "http://a"})) is not None
    with pytest.raises(ConfigError, match="SCHEMA_REGISTRY_URL="):
        codec(Sources(environ={"SCHEMA_REGISTRY_URL": "mock://a"}))
    with pytest.raises(ConfigError, match="is not usable") as caught:
        SchemaRegistry("ftp://me:hunter2@a", "you", Secret("x"))
    assert "hunter2" not in str(caught.value)
