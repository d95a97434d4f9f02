"""Delivers, beside a running recorder, what dead processes of this machine left in its journal folder.

Only if this user may read the log, so that exactly what it lacks is sent: nothing is sent twice without somebody asking
for it (`runbus journal flush`). Journals of other machines are left alone: their locks may not be seen here.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from runbus.config.errors import RunBusError
from runbus.kafka.errors import RightMissing
from runbus.recorder.courier import Courier
from runbus.recorder.identity import host
from runbus.recorder.journal import folder as folders
from runbus.recorder.journal.format import NotASegment, read_header
from runbus.recorder.journal.recovery import Manner, deliver
from runbus.recorder.settings import CourierSettings

log = logging.getLogger(__name__)

_AGAIN_S = 30.0  # while the broker is away
_HEADER_BYTES = 64 * 1024


class Adoption:
    """Looks through one folder, once, on a thread of its own.

    Attributes:
        courier: that delivers at the moment.
    """

    def __init__(self, root: Path, settings: CourierSettings) -> None:
        self._root = root
        self._settings = settings
        self._stop = threading.Event()
        self._manner = Manner(stop=self._stop, on_courier=self._use)
        self.courier: Courier | None = None
        self._orphans = 0
        self._looked_at = 0.0
        self._thread = threading.Thread(target=self._run, name="runbus-journal", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """End; what is not delivered stays for the next one."""
        self._stop.set()
        self._thread.join(timeout)

    def orphans(self) -> int:
        """Return how many journals of dead processes the folder has, as of half a minute ago at most."""
        now = time.monotonic()
        if now >= self._looked_at + _AGAIN_S:
            self._looked_at = now
            try:
                self._orphans = len(list(folders.orphans(self._root)))
            except OSError:
                self._orphans = 0
        return self._orphans

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._deliver()
            except RightMissing as error:
                log.warning(
                    "%d journals of dead processes are in %s, and this user may not see what the log has of them: %s. "
                    "`runbus journal flush` delivers them",
                    self.orphans(),
                    self._root,
                    error,
                )
            except RunBusError as error:
                log.warning("the journals of dead processes in %s wait: %s", self._root, error)
                self._stop.wait(_AGAIN_S)
                continue
            except Exception:
                log.exception("the journals of dead processes in %s cannot be delivered", self._root)
            return

    def _deliver(self) -> None:
        for path in [path for path in folders.orphans(self._root) if _of_this_host(path)]:
            if self._stop.is_set():
                return
            found = deliver(path, self._settings, self._manner)
            self.courier = None
            self._looked_at = 0.0
            if found.done:
                log.warning(
                    "the journal of %s was left by a process that died: %d steps of it were sent, the log had %d, %d "
                    "are lost",
                    found.stream,
                    found.sent,
                    found.in_log,
                    found.lost,
                )
            else:
                log.warning("the journal %s is left: %s", path, found.why)

    def _use(self, courier: Courier) -> None:
        self.courier = courier


def _of_this_host(journal: Path) -> bool:
    for path in folders.segments(journal)[::-1]:
        try:
            with path.open("rb") as file:
                return read_header(file.read(_HEADER_BYTES))[0].host == host()
        except (OSError, NotASegment):
            continue
    return False
