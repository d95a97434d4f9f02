"""The page's files as they are sent: without comments of our modules, every line where it is in the file."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request

from runbus.dashboard.static import PageFiles

SOURCE = b"""/**
 * What it is for.
 */
export const a = /** @type {any} */ ("http://b"); // said in passing
  // a line of its own
export const c = 1 / 2;
"""


def sent(files: PageFiles, path: str) -> bytes:
    """Return what a browser gets for a path."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    return bytes(files.answer(Request(scope)).body)


def test_comments_are_not_sent_and_lines_stay(tmp_path: Path) -> None:
    """A stack trace in the browser names a line of the file; what is vendored is sent as it was pinned."""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "index.html").write_text("<p>")
    for name in ("own.js", "vendor/theirs.js"):
        (tmp_path / name).write_bytes(SOURCE)
    files = PageFiles(tmp_path)
    lines = sent(files, "/own.js").splitlines()
    assert lines == [b"", b"", b"", b'export const a =  ("http://b"); // said in passing', b"", b"export const c = 1 / 2;"]
    assert sent(files, "/vendor/theirs.js") == SOURCE
