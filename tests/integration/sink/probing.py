"""Questions to a sink's own pages."""

import json
import subprocess
import urllib.request
from dataclasses import dataclass
from urllib.error import HTTPError, URLError

from prometheus_client.parser import text_string_to_metric_families

from runbus.local.ports import free_port
from tests.integration.sink.sink_processes import Sinks
from tests.support.waiting import until


@dataclass(frozen=True)
class Pages:
    """The pages of one process."""

    address: str

    def ask(self, page: str) -> tuple[int, bytes]:
        """Return status and body; status 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/{page}", timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (URLError, OSError):
            return 0, b""

    def reasons(self) -> list[str] | None:
        """Return why it is not ready, empty = it is; None while nothing listens."""
        status, body = self.ask("ready")
        if not status:
            return None
        found = json.loads(body)
        assert found["ready"] is (status == 200) is (not found["reasons"])
        return list(found["reasons"])

    def ready(self) -> bool:
        """Return whether it is ready."""
        return self.reasons() == []

    def value(self, metric: str, **labels: str) -> float | None:
        """Return the value of a metric, None while there is none."""
        _, body = self.ask("metrics")
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                if sample.name == metric and sample.labels == labels:
                    return float(sample.value)
        return None


def start(sinks: Sinks, **settings: str) -> tuple[subprocess.Popen[bytes], Pages]:
    """Start a sink that shows its pages."""
    pages = Pages(f"127.0.0.1:{free_port()}")
    sinks.env["RUNBUS_PROBES_ADDRESS"] = pages.address
    process = sinks.start(**settings)
    until("its pages are there", lambda: pages.ask("live")[0] == 200)
    return process, pages
