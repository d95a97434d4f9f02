"""Opens a page in the user's browser, where somebody sits before a screen."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping


def open_page(url: str) -> None:
    """Open it if there is a screen and a terminal; say nothing if there is none, or no browser."""
    if sys.stdout.isatty() and has_screen(sys.platform, os.environ):
        webbrowser.open(url)  # False if there is no browser: the address was printed


def has_screen(platform: str, environ: Mapping[str, str]) -> bool:
    """Return whether a window would be seen by who started this.

    Args:
        platform: as `sys.platform` has it.
        environ: of the process.
    """
    if environ.get("SSH_CONNECTION") or environ.get("CI"):
        return False
    if platform in ("darwin", "win32"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
