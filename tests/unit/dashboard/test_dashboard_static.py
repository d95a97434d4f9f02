"""The files of the page: compressed once, kept by the browser where that is safe."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from runbus.dashboard.static import PAGES, PageFiles

INDEX = '<link href="/app.css"><script src="/app.js"></script><a href="//other/x">x</a>'


def folder(root: Path, code: str = "export const a = 1;\n" * 50) -> Path:
    """Write a small page."""
    (root / "lib").mkdir(parents=True)
    (root / "index.html").write_text(INDEX, encoding="utf-8")
    (root / "app.js").write_text(code, encoding="utf-8")
    (root / "app.css").write_text("a{}", encoding="utf-8")
    (root / "lib/types.d.ts").write_text("x", encoding="utf-8")
    return root


def ask(files: PageFiles, path: str, **headers: str) -> Response:
    """Return the answer to a GET."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return files.answer(Request({"type": "http", "method": "GET", "path": path, "headers": raw, "query_string": b""}))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_the_same_file_and_is_asked_for_each_time(path: str, tmp_path: Path) -> None:
    """Its links lead below a path that has the hash of everything; those to others are left alone."""
    files = PageFiles(folder(tmp_path / "page"))
    answer = ask(files, path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    expected = INDEX.replace('="/app', f'="{files.prefix}app')
    assert bytes(answer.body).decode() == expected
    again = ask(files, path, if_none_match=answer.headers["etag"])
    assert (again.status_code, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])


def test_a_file_is_kept_for_ever_below_the_hash_and_only_there(tmp_path: Path) -> None:
    """Any file that changes makes another path."""
    files, other = PageFiles(folder(tmp_path / "a")), PageFiles(folder(tmp_path / "b", "export const a = 2;\n" * 50))
    assert re.fullmatch(r"/p/[0-9a-f]{16}/", files.prefix)
    assert files.prefix != other.prefix
    assert "immutable" in ask(files, f"{files.prefix}app.js").headers["cache-control"]
    assert ask(files, "/app.js").headers["cache-control"] == "no-cache"
    assert ask(files, f"{other.prefix}app.js").status_code == 404


def test_what_shrinks_is_sent_compressed_to_who_takes_it(tmp_path: Path) -> None:
    """The two forms have tags of their own: they are not the same bytes."""
    files = PageFiles(folder(tmp_path / "page"))
    plain, zipped = ask(files, "/app.js"), ask(files, "/app.js", accept_encoding="br, gzip")
    assert gzip.decompress(bytes(zipped.body)) == plain.body
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert zipped.headers["etag"] != plain.headers["etag"]
    assert zipped.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "content-encoding" not in ask(files, "/app.css", accept_encoding="gzip").headers


def test_only_files_of_the_page_are_served(tmp_path: Path) -> None:
    """A path that is no file and no page is the page, which says so, with 404."""
    files = PageFiles(folder(tmp_path / "page"))
    (tmp_path / "secret.txt").write_text("x", encoding="utf-8")
    for path in ("/../secret.txt", "/lib/types.d.ts", "/%2e%2e/secret.txt", "/nothing.js"):
        assert (ask(files, path).status_code, ask(files, path).media_type) == (404, "text/plain")
    assert ask(files, "/nobody").status_code == 404
    assert b"<script" in bytes(ask(files, "/nobody").body)


def test_comments_and_indentation_are_not_sent_and_lines_stay(tmp_path: Path) -> None:
    """A stack trace in the browser names a line of the file; what is vendored is sent as it was pinned."""
    source = (
        '/**\n * What for.\n */\nexport const a = /** @type {any} */ ("http://b"); // in passing\n'
        "  // alone\n\t  export const c = 1 / 2;\n"
    )
    root = folder(tmp_path / "page", source)
    (root / "vendor").mkdir()
    (root / "vendor/theirs.js").write_text(source, encoding="utf-8")
    files = PageFiles(root)
    lines = bytes(ask(files, "/app.js").body).decode().splitlines()
    assert lines == ["", "", "", 'export const a =  ("http://b"); // in passing', "", "export const c = 1 / 2;"]
    assert bytes(ask(files, "/vendor/theirs.js").body).decode() == source
