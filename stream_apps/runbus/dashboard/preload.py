"""Says which modules a page needs, so that a browser asks for all of them at once. Pure.

Without it each module is asked for when the one that imports it has come: six round trips, one after the other.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_APP, _PAGES = "app.js", "pages.js"
_IMPORT = re.compile(rb"""^\s*(?:import|export)\b[^;"']*["'](\.[^"']+)["']""", re.MULTILINE)
_PAGE = re.compile(rb"""path:\s*"([^"]+)".*?\bimport\("\./([^"]+)"\)""")


def needs(files: Mapping[str, bytes], entry: str) -> list[str]:
    """Return a module and all that it imports by static imports, at any distance, each once; unknown ones are left out.

    Args:
        files: path below the page's folder -> content.
        entry: path of the module.
    """
    found: dict[str, None] = {}
    left = [entry]
    while left:
        name = left.pop(0)
        if name in found or name not in files:
            continue
        found[name] = None
        folder = posixpath.dirname(name)
        left += [posixpath.normpath(posixpath.join(folder, at.decode())) for at in _IMPORT.findall(files[name])]
    return list(found)


def modules(files: Mapping[str, bytes], path: str) -> list[str]:
    """Return the modules that a browser needs for the page at `path`: those of the frame, then its own."""
    pages = {at.decode(): module.decode() for at, module in _PAGE.findall(files.get(_PAGES, b""))}
    own = needs(files, pages[path]) if path in pages else []
    return list(dict.fromkeys([*needs(files, _APP), *own]))
