"""The page is opened where somebody sits before a screen, and nowhere else."""

from __future__ import annotations

import sys
import webbrowser

import pytest

from runbus.local import browser


@pytest.mark.parametrize(
    ("platform", "environ", "seen"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}, False),
        ("linux", {"DISPLAY": ":99", "CI": "true"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "x"}, False),
    ],
)
def test_a_window_has_to_be_seen(platform: str, environ: dict[str, str], seen: bool) -> None:
    """A window on the screen of another machine, or of none, helps nobody."""
    assert browser.has_screen(platform, environ) is seen


@pytest.mark.parametrize("terminal", [True, False])
def test_a_script_opens_nothing(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Only who started it by hand sees the page."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(browser, "has_screen", lambda *_: True)
    browser.open_page("http://127.0.0.1:1")
    assert opened == (["http://127.0.0.1:1"] if terminal else [])
