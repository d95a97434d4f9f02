"""Serves the pages /live, /ready and /metrics on the process's own event loop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

from runbus.config.catalogue import PROBES_ADDRESS
from runbus.config.errors import RunBusError
from runbus.probes import catalogue
from runbus.probes.address import Address, probes_address
from runbus.probes.catalogue import Sample
from runbus.probes.readiness import Health, Limits, reasons, stuck

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)
# A client that does not read its answer holds up the end of the process for no longer: 1 s of the 22 s between the end
# of the grace and SIGKILL.
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The pages of one process. Its functions are called on the event loop for each request and must not block.

    Attributes:
        kind: of the process, as in its heartbeats: `sink`, `episodes`, `live-metrics`.
        health: its health now.
        samples: its metrics now; `runbus_build_info` and `runbus_ready` are added.
        limits: of readiness and life.
    """

    kind: str
    health: Callable[[], Health]
    samples: Callable[[], Iterable[Sample]]
    limits: Limits = field(default_factory=Limits)

    def metrics(self) -> Iterable[Sample]:
        """Yield every sample of the page."""
        yield catalogue.BUILD_INFO.now(1, self.kind, metadata.version("runbus"))
        yield catalogue.READY.now(not reasons(self.health(), self.limits))
        yield from self.samples()


@contextlib.asynccontextmanager
async def serving(text: str, probe: Probe) -> AsyncIterator[Address | None]:
    """Serve the pages while the context is entered; yield the address.

    Args:
        text: RUNBUS_PROBES_ADDRESS: `host:port`, port 0 = a free one; empty = off, which yields None.
        probe: what to show.

    Raises:
        RunBusError: the address is none, or cannot be listened on.
    """
    wanted = probes_address(text)
    if wanted is None:
        yield None
        return
    from aiohttp import web

    runner = web.AppRunner(_app(probe), access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, wanted.host, wanted.port)
        try:
            await site.start()
        except OSError as error:
            raise RunBusError(f"{PROBES_ADDRESS.env}={text}: cannot listen there: {error.strerror or error}") from error
        address = Address(wanted.host, runner.addresses[0][1])
        log.info("probes.listening on http://%s", address)
        yield address
    finally:
        await runner.cleanup()


def _app(probe: Probe) -> web.Application:
    from aiohttp import web

    from runbus.probes.exposition import CONTENT_TYPE, exposition

    async def live(_: web.Request) -> web.Response:
        why = stuck(probe.health(), probe.limits)
        return web.json_response({"live": not why, "reasons": [why] if why else []}, status=503 if why else 200)

    async def ready(_: web.Request) -> web.Response:
        found = reasons(probe.health(), probe.limits)
        return web.json_response({"ready": not found, "reasons": found}, status=503 if found else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(probe.metrics()), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app
