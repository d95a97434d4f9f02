"""Makes the Metrics that a shim records into, unless its caller has made one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from runbus.recorder import Metrics
from runbus.recorder.identity import host


class Target:
    """What a shim records into.

    Args:
        run: name of the run, or a Metrics, which stays its caller's to close.
        source: who says it.
        options: further arguments of Metrics.
    """

    def __init__(self, run: str | Metrics, source: str, **options: Any) -> None:  # noqa: ANN401 - those of Metrics
        self._own = isinstance(run, str)
        self.metrics = Metrics(run, source, **options) if isinstance(run, str) else run

    def close(self, outcome: str = "completed", error: str = "") -> None:
        """End the stream, if it was made here."""
        if self._own:
            self.metrics.close(outcome, error)  # type: ignore[arg-type] # the outcomes of a stream


def run_named(text: str) -> str:
    """Return a text as the name of a run: without what a name cannot have."""
    return (
        "".join("-" if c == "/" or not c.isprintable() else c for c in text.strip("/"))
        .encode()[:200]
        .decode("utf-8", "ignore")
        or run_of_now()
    )


def run_of_folder(folder: str) -> str:
    """Return the run of a log folder: what follows its last part `runs`, else its last part; parts joined by `-`."""
    parts = [part for part in PurePath(folder).parts if part not in ("/", ".", "..")]
    after = parts[len(parts) - parts[::-1].index("runs") :] if "runs" in parts else parts[-1:]
    return run_named("/".join(after or parts[-1:]))


def run_of_now() -> str:
    """Return a name that no other run has: the time and the host."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{host()}"
