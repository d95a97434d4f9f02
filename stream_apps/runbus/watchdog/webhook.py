"""Posts the beginning and the end of alarms to a URL. Nothing here can stop the watch, or make it wait."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import urllib3
from urllib3.exceptions import HTTPError

from runbus.config.secret import Secret
from runbus.kafka.threads import in_thread
from runbus.watchdog.alarms import AlarmChange
from runbus.watchdog.report import finding_json

log = logging.getLogger(__name__)
# What waits while the other side is away; past it the oldest is given up.
_MOST = 100
_CONNECT_S, _ANSWER_S = 2.0, 5.0
# A post that was not answered is made again: three times, 0.5, 1 and 2 s later. The other side may get it twice.
_AGAIN = urllib3.Retry(
    total=3,
    backoff_factor=0.5,
    allowed_methods=None,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
    redirect=False,
)


class Webhook:
    """One URL, and what waits to be posted there.

    Args:
        url: of http or https.
        component_id: of the watchdog, so that the other side knows who says it.

    Attributes:
        failed: posts that were given up.
    """

    def __init__(self, url: Secret, component_id: str) -> None:
        self._url = url
        self._component_id = component_id
        self._waiting: asyncio.Queue[dict[str, object]] = asyncio.Queue(_MOST)
        self.failed = 0

    def tell(self, change: AlarmChange) -> None:
        """Post the beginning or the end of an alarm, some time."""
        if not self._url:
            return
        if self._waiting.full():
            self._waiting.get_nowait()
            self.failed += 1
        self._waiting.put_nowait(self._document(change))

    async def serve(self) -> None:
        """Post what waits, one after the other, until cancelled."""
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its warnings have the URL with its token
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=_CONNECT_S, read=_ANSWER_S), retries=_AGAIN) as pool:
            while True:
                document = await self._waiting.get()
                problem = await in_thread(lambda document=document: self._post(pool, document), "runbus-webhook")  # type: ignore[misc]
                if problem:
                    self.failed += 1
                    log.warning("watchdog.webhook: an alarm was not taken: %s", problem)

    def _post(self, pool: urllib3.PoolManager, document: Mapping[str, object]) -> str:
        """Return what went wrong; empty = nothing. The URL may hold a token: it is not said."""
        try:
            answer = pool.request(
                "POST",
                self._url.reveal(),
                body=json.dumps(document).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "runbus-watchdog"},
            )
        except HTTPError as error:
            return type(error).__name__
        return "" if answer.status < 300 else f"HTTP status {answer.status}"

    def _document(self, change: AlarmChange) -> dict[str, object]:
        return {
            "watchdog": self._component_id,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "status": "resolved" if change.word == "over" else "firing",
            **finding_json(change.lasting),
        }
