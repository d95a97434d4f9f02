"""Compresses and decompresses HTTP bodies as ClickHouse does: gzip, deflate, zstd and lz4 (frame format)."""

import gzip
import zlib
from typing import Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from runbus.local.clickhouse_http.errors import CANNOT_DECOMPRESS, NOT_IMPLEMENTED, engine_error


class Encoder(Protocol):
    """Compresses a response piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece; return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


class _Lz4:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        head = b"" if self._begun else self._frame.begin()
        self._begun = True
        return bytes(head + self._frame.compress(data))

    def flush(self) -> bytes:
        return (b"" if self._begun else bytes(self._frame.begin())) + bytes(self._frame.flush())


def encoder(accept: str) -> tuple[str, Encoder] | None:
    """Choose the cheapest coding that an Accept-Encoding header allows; None for no compression."""
    offered = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if "lz4" in offered:
        return "lz4", _Lz4()
    if "zstd" in offered:
        return "zstd", zstandard.ZstdCompressor(level=1).compressobj()
    if "gzip" in offered:
        return "gzip", zlib.compressobj(1, zlib.DEFLATED, 31)
    if "deflate" in offered:
        return "deflate", zlib.compressobj(1)
    return None


def inflate(body: bytes, coding: str) -> bytes:
    """Decompress a request body. Raises EngineError for an unknown coding or corrupt data."""
    if not body:
        return body
    try:
        match coding.strip().lower():
            case "" | "identity":
                return body
            case "lz4":
                return bytes(lz4.frame.decompress(body))
            case "zstd":
                return _unzstd(body)
            case "gzip" | "x-gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body)
    except (RuntimeError, OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        text = f"Cannot decompress the {coding} request body: {error}."
        raise engine_error(CANNOT_DECOMPRESS, "CANNOT_DECOMPRESS", text) from error
    raise engine_error(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", f"Unknown Content-Encoding: {coding}.")


def _unzstd(body: bytes) -> bytes:
    # A client may send several frames, and frames that do not state their size; a truncated one is an error.
    frames: list[bytes] = []
    while body:
        frame = zstandard.ZstdDecompressor().decompressobj()
        frames.append(frame.decompress(body))
        if not frame.eof:
            raise zstandard.ZstdError("the last frame is incomplete")
        body = frame.unused_data
    return b"".join(frames)
