"""Measures what a person at the dashboard waits for: the page's first data, a step on its way to the screen, keys.

Method: a local stack, a dashboard, and Debian's Chromium, headless, all on this machine; the environment stamps each
step, the page notes when the frame that told of it was painted (requestAnimationFrame, then a MessageChannel), on the
same clock. Each part uses a tab with a profile of its own. Beside each figure stands its target and the machine's load.

`--only ready,latency,...` chooses; parts: ready, latency, streams, many, clients, scrub, memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what starts stack and Chromium is shared with tests/browser

from playwright.sync_api import Browser, sync_playwright

from runbus.local.stack import Endpoints
from tests.browser import chromium
from tests.browser.chromium import Visit
from tests.browser.many_runs import publish
from tests.browser.serving import Dashboard, live_agents, start_stack
from tests.browser.stories import record

_PAINTS = "() => window.runbus.inspect().live.paints"
_FIRST = "() => window.runbus.inspect().live.paints[0][1] - performance.timeOrigin"
_TRANSFER = """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.encodedBodySize, 0)"""
_EVENTS = """() => { window.__slow = []; new PerformanceObserver((list) => window.__slow.push(...list.getEntries()
  .filter((one) => one.interactionId).map((one) => one.duration))).observe({type: "event", durationThreshold: 16}); }"""


@dataclass(frozen=True)
class Figure:
    """One measured number, with its target in the same unit."""

    what: str
    value: float
    unit: str
    most: float

    def line(self) -> str:
        """Return it as a line of the table."""
        verdict = "ok" if self.value <= self.most else "MISSED"
        load = os.getloadavg()[0]
        return f"{self.what:<58} {self.value:>9.1f} {self.unit:<5} <= {self.most:>7.0f}  {verdict:<7} load {load:.1f}"


@dataclass(frozen=True)
class Bench:
    """What every part has: the stack, its dashboard and a browser."""

    endpoints: Endpoints
    dashboard: Dashboard
    browser: Browser
    seconds: float

    @contextmanager
    def tab(self, address: str) -> Iterator[Visit]:
        """Open a tab for the length of a `with` block."""
        context, visit = chromium.visit(self.browser, self.dashboard.origin)
        try:
            visit.open(address)
            visit.until(
                "it has data", lambda: visit.page.evaluate("() => window.runbus?.inspect().live?.paints.length")
            )
            yield visit
        finally:
            context.close()


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of the sorted values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ready(bench: Bench) -> Iterator[Figure]:
    """From the start of the navigation to the first painted data, five cold loads; and what came over the wire."""
    for name, address in (("Runs", "/"), ("Run", "/run?run=ppo-0")):
        times, sizes = [], []
        for _ in range(5):
            with bench.tab(address) as visit:
                times.append(float(visit.page.evaluate(_FIRST)))
                sizes.append(float(visit.page.evaluate(_TRANSFER)) / 1000)
        yield Figure(f"ready, cold, {name}: median of 5", statistics.median(times), "ms", 600)
        yield Figure(f"transferred, cold, {name}", max(sizes), "KB", 70)


def latency(bench: Bench) -> Iterator[Figure]:
    """Age of the newest step when it is painted, 4 agents of 20 steps/s each."""
    with live_agents(bench.endpoints, "bench-latency", "--agents", "4", "--rate", "20"):
        for name, address in (("Runs", "/?q=bench-latency"), ("Run", "/run?run=bench-latency")):
            with bench.tab(address) as visit:
                yield from _ages(visit, bench.seconds, f"step to pixel, 4 agents, {name}", (250, 700))


def streams(bench: Bench) -> Iterator[Figure]:
    """The same with 1,000 streams of one step a second."""
    with live_agents(bench.endpoints, "bench-streams", "--agents", "1000", "--rate", "1"), bench.tab("/") as visit:
        yield from _ages(visit, bench.seconds, "step to pixel, 1,000 streams, Runs", (350, 1000))


def _ages(visit: Visit, seconds: float, what: str, most: tuple[float, float]) -> Iterator[Figure]:
    """Wait, and tell how old the newest step of each frame was when it was painted."""
    visit.page.wait_for_timeout(3000)  # the first frames tell of what was before
    before = len(visit.page.evaluate(_PAINTS))
    visit.page.wait_for_timeout(seconds * 1000)
    seen, ages, sent = 0.0, [], []
    for frame, painted, newest in visit.page.evaluate(_PAINTS)[before:]:
        if newest > seen:
            seen = newest
            ages.append(painted - newest)
            sent.append(painted - frame)
    yield Figure(f"{what}: p50 of {len(ages)}", quantile(ages, 0.5), "ms", most[0])
    yield Figure(f"{what}: p99", quantile(ages, 0.99), "ms", most[1])
    yield Figure("    of which from the frame's stamp to the pixel: p50", quantile(sent, 0.5), "ms", 43)


def many(bench: Bench) -> Iterator[Figure]:
    """10,000 runs: first rows, keys, nodes of the document, a filter."""
    publish(bench.endpoints, 10_000)
    with bench.tab("/?sort=run") as visit:
        page = visit.page
        yield Figure("10,000 runs: ready, cold", float(page.evaluate(_FIRST)), "ms", 1000)
        session = page.context.new_cdp_session(page)
        yield Figure("10,000 runs: nodes", float(session.send("Memory.getDOMCounters")["nodes"]), "", 2000)
        page.evaluate(_EVENTS)
        for key in "jjjjjjjjjjjjjjjjjjjjkkkkkkkkkk" * 3:
            page.keyboard.press(key)
        page.wait_for_timeout(500)
        slow = page.evaluate("() => window.__slow")
        yield Figure("10,000 runs: j and k, slowest of 90 to the next paint", max(slow, default=16), "ms", 50)
        yield Figure("10,000 runs: a filter, to its rows", _typed(visit, "algo:dqn lr<0.01"), "ms", 200)


def _typed(visit: Visit, text: str) -> float:
    """Fill in a filter in one event; return the milliseconds to the paint after it."""
    return float(
        visit.page.evaluate(
            """(text) => new Promise((done) => {
              const field = document.getElementById("filter"), began = performance.now();
              field.value = text;
              field.dispatchEvent(new Event("input", {bubbles: true}));
              requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
            })""",
            text,
        )
    )


def clients(bench: Bench) -> Iterator[Figure]:
    """500 streams, one that reads a byte a second and one that stopped; then SIGTERM while they are open."""
    own = Dashboard(
        bench.endpoints,
        bench.dashboard.log.with_name("clients.log"),
        {"RUNBUS_DASHBOARD_CLIENTS": "600", "RUNBUS_DASHBOARD_CLIENTS_PER_ADDRESS": "600"},
    )
    own.start()
    assert own.process is not None
    with live_agents(bench.endpoints, "bench-clients", "--agents", "4", "--rate", "20"):
        alone, _ = asyncio.run(_followed(own, 20, 0, bench.seconds, lambda: None))
        before = _resident_mb(own.process.pid)
        grown: list[float] = []
        took: list[float] = []

        def end() -> None:
            grown.append(_resident_mb(own.process.pid) - before if own.process else 0)
            began = time.monotonic()
            own.stop()
            took.append(time.monotonic() - began)

        crowd, many_ = asyncio.run(_followed(own, 500, 2, bench.seconds, end))
    yield Figure(f"{many_} clients: frame to reader, p50", quantile(crowd, 0.5), "ms", 100)
    yield Figure(
        f"{many_} clients: frame to reader, p99 (20 clients: {quantile(alone, 0.99):.0f})",
        quantile(crowd, 0.99),
        "ms",
        250,
    )
    yield Figure("500 clients and two that do not read: memory more", grown[0], "MiB", 64)
    yield Figure("SIGTERM with 500 open streams to the exit", took[0] * 1000, "ms", 3000)


async def _followed(
    dashboard: Dashboard, count: int, lazy: int, seconds: float, end: Callable[[], None]
) -> tuple[list[float], int]:
    """Follow with `count` clients; return the milliseconds from a frame's stamp to its reader, and how many got any."""
    ages: list[list[float]] = [[] for _ in range(count)]
    tasks = [asyncio.create_task(_client(dashboard.port, found)) for found in ages]
    sleepers = [await _opened(dashboard.port) for _ in range(lazy)]
    await asyncio.sleep(2)
    for found in ages:
        found.clear()
    await asyncio.sleep(seconds)
    kept = [list(found) for found in ages]
    await asyncio.to_thread(end)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in sleepers:
        writer.close()
    return [age for found in kept for age in found], sum(map(bool, kept))


async def _opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    request = (
        "GET /api/v1/stream?view=run&run=bench-clients HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    )
    writer.write(request.encode())
    await writer.drain()
    return reader, writer


async def _client(port: int, ages: list[float]) -> None:
    reader, writer = await _opened(port)
    try:
        while line := await reader.readline():
            if line.startswith(b"data: "):
                ages.append(time.time() * 1000 - json.loads(line[6:])["t"] / 1000)
    finally:
        writer.close()


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(bench: Bench) -> Iterator[Figure]:
    """What a tab holds after `--seconds` of a live run."""
    agents = live_agents(bench.endpoints, "bench-memory", "--agents", "4", "--rate", "20")
    with agents, bench.tab("/run?run=bench-memory") as visit:
        visit.page.wait_for_timeout(bench.seconds * 1000)
        measured = visit.page.evaluate("async () => (await performance.measureUserAgentSpecificMemory()).bytes")
        yield Figure("memory of a tab, live run", measured / 1e6, "MB", 120)


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    part.__name__: part for part in (ready, latency, streams, memory, clients, many)
}


def main() -> None:
    """Measure the chosen parts and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma")
    parser.add_argument("--seconds", type=float, default=30, help="of each live part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as cleanup:
        stack, endpoints = start_stack(Path(folder) / "home")
        cleanup.callback(stack.down)
        record(endpoints)
        dashboard = Dashboard(endpoints, Path(folder) / "dashboard.log")
        cleanup.callback(dashboard.stop)
        dashboard.start()
        browser = chromium.launch(cleanup.enter_context(sync_playwright()))
        bench = Bench(endpoints, dashboard, browser, options.seconds)
        for name in options.only.split(","):
            for figure in PARTS[name](bench):
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
