"""A registry that learns a schema late, as one does that is copied from another."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import CONFLUENT_MARK
from runbus.schemas.registry import SchemaRegistry
from tests.integration.sink.sink_processes import make_batch


class LateRegistry(ThreadingHTTPServer):
    """Stands before the real registry and denies one of its schemas until `learn`.

    Attributes:
        id: of that schema.
        url: of this server.
    """

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # a text of its own: a registry gives equal schemas one id
        text = json.loads(schema("StepBatch").text) | {"doc": uuid.uuid4().hex}
        self.id = SchemaRegistry(behind).push(f"late-{uuid.uuid4().hex}", AvroSchema.from_json(json.dumps(text)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.behind = behind
        self.denied = f"/schemas/ids/{self.id}"

    def value(self, run: str, agent: str, first: int, count: int) -> bytes:
        """Return a value that names the schema."""
        return CONFLUENT_MARK + self.id.to_bytes(4, "big") + encode(make_batch(run, agent, first, count))

    def learn(self) -> None:
        """Know it from now on."""
        self.denied = ""


class _Handler(BaseHTTPRequestHandler):
    server: LateRegistry

    def do_GET(self) -> None:
        """Deny the schema; hand on everything else."""
        path = self.path.partition("?")[0]
        if self.server.denied and path.endswith(self.server.denied):
            self._answer(404, b'{"error_code": 40403, "message": "Schema not found"}')
            return
        length = int(self.headers.get("Content-Length", 0))
        headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if name in self.headers}
        body = self.rfile.read(length) if length else None
        request = urllib.request.Request(self.server.behind + self.path, body, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                self._answer(found.status, found.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    do_POST = do_GET  # noqa: N815 - the base class names it

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@contextmanager
def late_registry(behind: str) -> Iterator[LateRegistry]:
    """Serve one before the registry at a URL."""
    with LateRegistry(behind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
