"""Takes pictures of every page, to be looked at by people: `python -m tests.browser.pictures FOLDER [--readme FILE]`.

A stack of its own records the runs of stories.py, and two agents that really learn. Every page is taken in both themes,
390, 1280 and 1920 px wide; `--readme` writes the one picture that README.md shows. `--home` takes a stack that runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import get_args

from playwright.sync_api import sync_playwright

from runbus.config.catalogue import CONFIG_FILE_ENV
from runbus.local.env import stack_environment
from runbus.local.stack import Endpoints, Stack
from tests.browser import chromium
from tests.browser.asked import address, rows
from tests.browser.chromium import Theme, Visit
from tests.browser.serving import Dashboard, start_stack
from tests.browser.stories import record
from tests.browser.tour import NAMES, stop

WIDTHS = (390, 1280, 1920)
LEARNING = "cartpole-cem"
_LEARN_S = 45
_ANSWERED_S = 30
#: What a page says while it waits for an answer.
_WAITS = ("asking", "loading …", "looking for")


def pages(endpoints: Endpoints) -> Mapping[str, str]:
    """Return name of a picture -> address."""
    return {name: stop(endpoints, name).address for name in NAMES} | {"learning": address("/run", {"run": LEARNING})}


@contextmanager
def learning(endpoints: Endpoints) -> Iterator[None]:
    """Let two agents of the demo learn for the length of a `with` block."""
    environment = {**stack_environment(os.environ), CONFIG_FILE_ENV: str(endpoints.config_file), "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-m", "runbus.local.agents", "--task", "cartpole", "--run", LEARNING]
    agents = [
        subprocess.Popen([*argv, "--agent", f"agent-{seed}", "--seed", str(seed)], env=environment) for seed in range(2)
    ]
    try:
        yield
    finally:
        for agent in agents:
            agent.terminate()
            agent.wait(30)


def take(visit: Visit, where: str, file: Path) -> None:
    """Open an address and take it once nothing is asked for any more."""
    visit.open(where)
    visit.page.wait_for_timeout(2500)
    deadline = time.monotonic() + _ANSWERED_S
    while any(word in visit.text().lower() for word in _WAITS) and time.monotonic() < deadline:
        visit.page.wait_for_timeout(100)
    visit.page.screenshot(path=file)
    for problem in visit.unexpected():
        print(f"{file.name}: {problem}")
    visit.problems.clear()


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--only", default="", help="names of pictures, by comma")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as cleanup:
        endpoints = Stack(options.home).status().endpoints if options.home else None
        if endpoints is None:
            stack, endpoints = start_stack(Path(scratch) / "home")
            cleanup.callback(stack.down)
        if not rows(endpoints, "SELECT 1 FROM run_summary WHERE run_id = 'talk'"):
            record(endpoints)
        dashboard = Dashboard(endpoints, Path(scratch) / "dashboard.log")
        cleanup.callback(dashboard.stop)
        dashboard.start()
        browser = chromium.launch(cleanup.enter_context(sync_playwright()))
        cleanup.enter_context(learning(endpoints))
        _, visit = chromium.visit(browser, dashboard.origin)
        visit.page.wait_for_timeout(_LEARN_S * 1000)
        if options.readme:
            take(visit, address("/run", {"run": LEARNING, "smooth": "ema"}), options.readme)
        chosen = options.only.split(",") if options.only else list(pages(endpoints))
        for theme in get_args(Theme):
            for width in WIDTHS:
                context, visit = chromium.visit(browser, dashboard.origin, theme, width)
                for name in chosen:
                    take(visit, pages(endpoints)[name], options.folder / f"{name}-{width}-{theme}.png")
                context.close()


if __name__ == "__main__":
    main()
