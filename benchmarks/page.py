"""Measures what a person at the dashboard waits for: the page's first data, a step on its way to the screen, keys.

Method: a local stack, a dashboard, and Debian's Chromium, headless, all on this machine; the environment stamps each
step, the page notes when the frame that told of it was painted (requestAnimationFrame, then a MessageChannel), on the
same clock. Each part uses a tab with a profile of its own. Beside each figure stands its target and the machine's load.

`--only ready,latency,...` chooses; parts: ready, latency, streams, memory, clients, scrub,
million, many.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what starts stack and Chromium is shared with tests/browser

from playwright.sync_api import Browser, sync_playwright

from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.local.env import stack_environment
from runbus.local.stack import Endpoints
from tests.browser import chromium, shown_episodes
from tests.browser.asked import rows
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
        alone, _ = _apart(_followed(own, 20, 0, bench.seconds, lambda: None))
        before = _resident_mb(own.process.pid)
        grown: list[float] = []
        took: list[float] = []

        def end() -> None:
            grown.append(_resident_mb(own.process.pid) - before if own.process else 0)
            began = time.monotonic()
            own.stop()
            took.append(time.monotonic() - began)

        crowd, many_ = _apart(_followed(own, 500, 2, bench.seconds, end))
    yield Figure(f"{many_} clients: frame to reader, p50", quantile(crowd, 0.5), "ms", 100)
    yield Figure(
        f"{many_} clients: frame to reader, p99 (20 clients: {quantile(alone, 0.99):.0f})",
        quantile(crowd, 0.99),
        "ms",
        250,
    )
    yield Figure("500 clients and two that do not read: memory more", grown[0], "MiB", 64)
    yield Figure("SIGTERM with 500 open streams to the exit", took[0] * 1000, "ms", 3000)


def _apart(work: Coroutine[None, None, tuple[list[float], int]]) -> tuple[list[float], int]:
    """Run it on a loop of its own: this thread's is playwright's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


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


_SEEK = """(step) => new Promise((done) => {
  const field = document.querySelector(".scrub-place input"), began = performance.now();
  const painted = () => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now() - began);
    channel.port2.postMessage(0);
  });
  const look = () => {
    const {cursor, state} = window.runbus.inspect().episode;
    if (cursor === step && state === "here") painted();
    else setTimeout(look, 2);
  };
  field.value = step;
  field.dispatchEvent(new Event("change", {bubbles: true}));
  look();
})"""
_FRAMES = """() => { window.__frames = [];
  const next = (now) => { window.__frames.push(now); requestAnimationFrame(next); };
  requestAnimationFrame(next); }"""


def scrub(bench: Bench) -> Iterator[Figure]:
    """An episode of 100,000 steps: arrows, seeking to what is not loaded, dragging the thumb over all of it."""
    shown_episodes.record(bench.endpoints, "long")
    with bench.tab(shown_episodes.episode(bench.endpoints, "long", "walker", step=50_000)) as visit:
        page = visit.page
        visit.until(
            "its steps are there", lambda: page.evaluate("() => window.runbus.inspect().episode?.state") == "here", 60
        )
        page.wait_for_timeout(1000)
        page.evaluate(_EVENTS)
        for _ in range(200):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(500)
        yield Figure("arrow to paint, slowest of 200", max(page.evaluate("() => window.__slow"), default=16), "ms", 50)
        sought = [float(page.evaluate(_SEEK, step)) for step in range(1_234, 100_000, 9_876)]
        yield Figure("seek to a step that is not loaded, median of 10", statistics.median(sought), "ms", 200)
        yield from _dragged(visit)


def _dragged(visit: Visit) -> Iterator[Figure]:
    page = visit.page
    box = page.locator(".scrub-thumb").bounding_box()
    assert box is not None
    y, asked = box["y"] + box["height"] / 2, len([url for url in visit.requests if "/episode/steps" in url])
    page.mouse.move(box["x"] + box["width"] * 0.9, y)
    page.mouse.down()
    page.evaluate(_FRAMES)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 5:
        page.mouse.move(box["x"] + box["width"] * (0.5 + 0.4 * math.cos(2 * passed)), y)
    frames = page.evaluate("() => window.__frames")
    page.mouse.up()
    asked = len([url for url in visit.requests if "/episode/steps" in url]) - asked
    yield Figure("drag over 100,000 steps: requests a second", asked / passed, "1/s", 2)
    between = [later - sooner for sooner, later in itertools.pairwise(frames)]
    yield Figure("drag over 100,000 steps: between two frames, p95", quantile(between, 0.95), "ms", 34)


def million(bench: Bench) -> Iterator[Figure]:
    """A run of a million steps and 10,000 episodes: zooms, and the pointer over its charts."""
    _recorded(bench, "bench-million", episodes=10_000, steps=100)
    with bench.tab("/run?run=bench-million") as visit:
        page = visit.page
        visit.until("the curve is there", lambda: page.evaluate(_WIDTH))
        page.evaluate(_EVENTS)
        box = page.locator(".plot").first.bounding_box()
        assert box is not None
        for at in range(80):
            page.mouse.move(box["x"] + 20 + at * (box["width"] - 40) / 80, box["y"] + box["height"] / 2)
        zooms = []
        for _ in range(5):
            zooms.append(_zoomed(visit, "Zoom in"))
            zooms.append(_zoomed(visit, "Zoom out"))
        events = page.evaluate("() => window.__slow")
        yield Figure("a million steps: interactions, p98", quantile(events or [16.0], 0.98), "ms", 100)
        yield Figure("a million steps: zoom to fresh data, median of 10", statistics.median(zooms), "ms", 300)


_WIDTH = "() => window.runbus?.inspect()['curve return']?.width ?? 0"


def _zoomed(visit: Visit, name: str) -> float:
    """Press a zoom button; return the milliseconds until the curve is what was asked for."""
    return float(
        visit.page.evaluate(
            """(name) => new Promise((done) => {
              const said = () => window.runbus.inspect()["curve return"], before = JSON.stringify(said().asked);
              const began = performance.now();
              document.querySelector(`button[aria-label="${name}"]`).click();
              const look = () => {
                if (JSON.stringify(said().asked) !== before) done(performance.now() - began);
                else if (performance.now() - began > 30000) done(NaN);
                else requestAnimationFrame(look);
              };
              requestAnimationFrame(look);
            })""",
            name,
        )
    )


def _recorded(bench: Bench, run: str, *, episodes: int, steps: int) -> str:
    """Record a run in a process of its own; return its stream as parameters of an address once it is stored."""
    environment = {**stack_environment(os.environ), CONFIG_FILE_ENV: str(bench.endpoints.config_file)}
    argv = [sys.executable, "-c", _RECORD, run, str(episodes), str(steps)]
    done = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    sql = "SELECT count() FROM episodes_latest WHERE run_id = {run:String}"
    while rows(bench.endpoints, sql, run=run)[0][0] < episodes:
        time.sleep(0.2)
    return f"run={run}&agent=agent-0&attempt={done.stdout.strip()}"


_RECORD = """
import random, sys, numpy
from runbus.recorder import Recorder
run, episodes, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with Recorder(run=run) as recorder:
    for episode in range(episodes):
        recorder.reset(numpy.zeros(4, "f4"))
        for step in range(steps):
            seen = numpy.array([step, episode, 0, 1], "f4")
            recorder.step(step % 4, random.random(), step == steps - 1, False, seen)
            if step % 1000 == 999 or (step == steps - 1 and episode % 10 == 0):
                recorder.flush(60)
print(recorder.attempt)
"""


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    part.__name__: part for part in (ready, latency, streams, memory, clients, scrub, million, many)
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
