"""An error in the middle of an answer is an error, wherever the pieces are cut, and never data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runbus.clickhouse.answers import Answer
from runbus.clickhouse.errors import DataError, StoreError

TAG = "0123456789abcdef"
ERROR = "Code: 395. DB::Exception: no more (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)\n"
MARKED = f"\r\n__exception__\r\n{TAG}\r\n{ERROR}{len(ERROR)} {TAG}\r\n__exception__\r\n".encode()


class _Response:
    """The bytes of an answer, in pieces of some size."""

    def __init__(self, content: bytes, size: int, tag: str | None = TAG) -> None:
        self.headers = {"X-ClickHouse-Format": "TSV"} | ({"X-ClickHouse-Exception-Tag": tag} if tag else {})
        self._content, self._size = content, size

    def stream(self, _: int) -> Iterator[bytes]:
        """Yield the pieces."""
        return (self._content[at : at + self._size] for at in range(0, len(self._content), self._size))


def _read(content: bytes, size: int, tag: str | None = TAG) -> tuple[bytes, StoreError | None]:
    found = b""
    try:
        for piece in Answer(_Response(content, size, tag)).pieces():  # type: ignore[arg-type]
            found += piece
    except StoreError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("size", [1, 3, 16, 17, 40, 1000])
def test_an_error_behind_the_rows(size: int) -> None:
    """The rows before it come through, its own bytes do not."""
    found, error = _read(b"1\n2\n" + MARKED, size)
    assert found == b"1\n2\n"
    assert isinstance(error, DataError)
    assert (error.code, error.text) == (395, "no more (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("content", [b"", b"1\n", b"__exception__\r\nof somebody else\r\n", b"x" * 200])
def test_data_is_exact(content: bytes, size: int) -> None:
    """Without the server's mark everything is data."""
    assert _read(content, size) == (content, None)


def test_an_older_server_has_no_mark() -> None:
    """Its error stands behind the rows as it is; the command fails all the same."""
    text = (
        b"Code: 395. DB::Exception: no more (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 24.8.1.1 (official build))\n"
    )
    found, error = _read(b"1\n" + text, 5, tag=None)
    assert found.startswith(b"1\n")
    assert isinstance(error, DataError)
