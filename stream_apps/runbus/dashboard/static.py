"""Serves the files of the page: read, hashed and compressed once at the start.

The page has no build, and its modules name each other by relative paths. So the whole tree is served below a path that
has the hash of all its files, where a browser may keep everything for ever, and `index.html`, which it asks for each
time, points there. Comments of our own modules are not sent; every line stays where it is, for a stack trace names it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from runbus.dashboard.preload import modules

#: Paths of the page that are no files: the page's own router knows them.
PAGES = ("/", "/run", "/episode", "/world", "/groups", "/compare", "/health")
INDEX = "index.html"
_NO_PAGE = ""
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_COMPRESSED = (".css", ".html", ".js", ".json", ".svg", ".txt")
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
#: What a reader of the source needs and a browser does not: "/** ... */", lines of "//", and indentation, which
#: htm drops in its templates too.
_INDENTATION = re.compile(rb"^[ \t]+", re.MULTILINE)
_COMMENT = re.compile(rb"/\*\*.*?\*/|^[ \t]*//[^\n]*", re.DOTALL | re.MULTILINE)
_LINKS = re.compile(rb'(\b(?:src|href)=")/([^"/][^"]*")')


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is sent: plain, compressed (empty = it is not), with its type and the hash of its content."""

    content: bytes
    compressed: bytes
    media_type: str
    hash: str

    def answer(self, request: Request, status: int, cache: str) -> Response:
        """Return the answer to a GET or HEAD: 304 if the browser has it."""
        zipped = bool(self.compressed) and "gzip" in request.headers.get("accept-encoding", "")
        tag = f'"{self.hash}-gz"' if zipped else f'"{self.hash}"'
        headers = {"Cache-Control": cache, "ETag": tag, "Vary": "Accept-Encoding"}
        if status == 200 and tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(self.compressed if zipped else self.content, status, headers, self.media_type)


class PageFiles:
    """All files of the page.

    Args:
        folder: where they are; what is not in `_TYPES` is not served.
    """

    def __init__(self, folder: Path) -> None:
        read = {
            str(PurePosixPath(path.relative_to(folder))): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }
        whole = hashlib.sha256(b"".join(name.encode() + b"\0" + content for name, content in read.items()))
        #: Below this path a browser may keep every file for ever.
        self.prefix = f"/p/{whole.hexdigest()[:16]}/"
        self._files = {name: _page_file(name, _sent(name, content)) for name, content in read.items()}
        self._pages = {path: _page_file(INDEX, self._index(read, path)) for path in (*PAGES, _NO_PAGE)}

    def answer(self, request: Request) -> Response:
        """Return the file that a path names, or the page itself; a path that is neither is the page too, with 404."""
        path = request.url.path
        if path in PAGES:
            return self._pages[path].answer(request, 200, _ASK)
        kept = path.startswith(self.prefix)
        found = self._files.get(path.removeprefix(self.prefix) if kept else path.removeprefix("/"))
        if found is not None:
            return found.answer(request, 200, _FOR_EVER if kept else _ASK)
        if "." in path.rpartition("/")[2]:
            return Response("there is no such file\n", 404, media_type="text/plain")
        return self._pages[_NO_PAGE].answer(request, 404, _ASK)

    def _index(self, read: Mapping[str, bytes], path: str) -> bytes:
        """Return index.html for a page: it names all modules of the page, below the path with the hash."""
        links = "".join(f'<link rel="modulepreload" href="/{name}">\n' for name in modules(read, path))
        whole = read[INDEX].replace(b"</head>", links.encode() + b"</head>")
        return _LINKS.sub(rb"\g<1>" + self.prefix.encode() + rb"\g<2>", whole)


def _sent(name: str, content: bytes) -> bytes:
    if not name.endswith(".js") or name.startswith("vendor/"):
        return content
    return _INDENTATION.sub(b"", _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), content))


def _page_file(name: str, content: bytes) -> PageFile:
    suffix = PurePosixPath(name).suffix
    zipped = gzip.compress(content, 9, mtime=0) if suffix in _COMPRESSED else b""
    worth = zipped if len(zipped) < len(content) else b""
    return PageFile(content, worth, _TYPES[suffix], hashlib.sha256(content).hexdigest()[:32])
