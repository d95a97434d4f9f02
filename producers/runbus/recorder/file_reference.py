"""Says where a file, a folder or a remote object is, how large it is, and what its bytes hash to."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runbus.config.errors import InvalidValue

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileReference:
    """Where something is; never its bytes.

    Attributes:
        uri: `file:///...` with an absolute path, or the remote one as it was given.
        bytes: its size, of a folder that of all its files; -1 = not known.
        sha256: as hexadecimal digits; empty = not known. Of a folder it is the hash of the lines
            `sha256 of the file, two spaces, its path in the folder`, sorted by path, as `sha256sum` prints them.
    """

    uri: str
    bytes: int = -1
    sha256: str = ""


def located(given: str | PathLike[str]) -> tuple[FileReference, Path | None]:
    """Return the reference to a path or a URI, not hashed, and the path if it is on this machine. Reads no byte."""
    text = fspath(given)
    if not _SCHEME.match(text):
        path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - resolve() would ask the disk about links
        return FileReference(path.as_uri()), path
    address = urlsplit(text)
    local = address.scheme.lower() == "file" and address.netloc in ("", "localhost")
    return FileReference(text), Path(unquote(address.path)) if local else None


def hashed(found: FileReference, path: Path) -> FileReference:
    """Return a reference with size and hash, which takes as long as reading the bytes.

    Raises:
        OSError: there is no such file, or it cannot be read.
        InvalidValue: a file changed while it was read.
    """
    if not path.is_dir():
        size, digest = _hash_of(path)
        return FileReference(found.uri, size, digest)
    total, lines = 0, hashlib.sha256()
    for file in sorted(_files(path), key=lambda file: file.relative_to(path).as_posix().encode()):
        size, digest = _hash_of(file)
        total += size
        lines.update(f"{digest}  {file.relative_to(path).as_posix()}\n".encode("utf-8", "surrogateescape"))
    return FileReference(found.uri, total, lines.hexdigest())


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _hash_of(file: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with file.open("rb", buffering=0) as opened:
        before = os.fstat(opened.fileno())
        while piece := opened.read(_PIECE):
            digest.update(piece)
            size += len(piece)
        after = os.fstat(opened.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
        raise InvalidValue(f"{file} changed while it was read")
    return size, digest.hexdigest()
