"""Starts Debian's Chromium, and looks at one page of it: what it must never do ends the test that made it do it."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Playwright, Request

Theme = Literal["dark", "light"]
#: Nobody but the page asks for anything: a name of another host resolves to nothing.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers give it 64 MB
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-blink-features=ForceEagerMeasureMemory",
    OFFLINE,
)
#: What a busy machine may take for anything at all; nothing here measures time.
PATIENCE_S = 60.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: A busy ClickHouse does not answer within the time that a question may take: the page says so and asks again.
_TOO_SLOW = "the server responded with a status of 504"
_WATCH = """
addEventListener("securitypolicyviolation", (e) => console.error(
  `policy violated: ${e.effectiveDirective} ${e.blockedURI} ${e.sample} ${e.sourceFile}:${e.lineNumber}`));
"""


def executable() -> str:
    """Return where Chromium is; without one skip the test, or fail it where RUNBUS_TEST_BROWSER=required."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    reason = "Chromium is not installed: apt-get install chromium (or another package with one of " + ", ".join(_NAMES)
    if os.environ.get("RUNBUS_TEST_BROWSER") == "required":
        pytest.fail(reason + ")")
    pytest.skip(reason + ")")


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Start a browser that talks to 127.0.0.1 only."""
    return playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS, *arguments])


@dataclass
class Visit:
    """One tab. `problems` has what a page must not do; a test that provokes something says so in `expected`."""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: [_TOO_SLOW])
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen before anything is loaded."""
        page = self.page
        page.add_init_script(_WATCH)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error.stack or error}"))
        page.on("dialog", self._on_dialog)
        page.on("request", self._on_request)
        page.on("crash", lambda _: self.problems.append("the tab crashed"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.problems.append(f"request to elsewhere: {request.url[:200]}")

    def open(self, address: str) -> None:
        """Go to an address of the dashboard, for example `/run?run=x`; return when its modules are loaded."""
        self.page.goto(f"{self.origin}{address}", wait_until="load")

    def inspect(self) -> dict[str, Any]:
        """Return what the page says of itself (`window.runbus.inspect()`); empty before its modules are loaded."""
        return dict(self.page.evaluate("() => window.runbus?.inspect?.() ?? {}"))

    def until(self, what: str, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Return once the condition holds; the page goes on meanwhile.

        Playwright's own wait_for_function would need `unsafe-eval`, which the page's policy forbids.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds:.0f} s: {what}\nproblems: {self.problems}\n{self.text()[:1500]}")
            self.page.wait_for_timeout(40)

    def until_text(self, text: str, seconds: float = PATIENCE_S) -> None:
        """Return once the page shows a text."""
        self.until(f"the page shows {text!r}", lambda: text in self.text(), seconds)

    def text(self) -> str:
        """Return what a reader sees, as text."""
        return str(self.page.evaluate("() => document.body?.innerText ?? ''"))

    def unexpected(self) -> list[str]:
        """Return the problems that no test asked for."""
        return [problem for problem in self.problems if not any(re.search(known, problem) for known in self.expected)]


def visit(browser: Browser, origin: str, theme: Theme = "dark", width: int = 1280) -> tuple[BrowserContext, Visit]:
    """Open a tab with a profile of its own. Close the context afterwards."""
    height = {390: 844, 1280: 800, 1920: 1080}.get(width, 800)
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
    return context, Visit(context.new_page(), origin)
