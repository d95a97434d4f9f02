"""The adapter's small parts: errors, users, compression."""

import gzip
import stat
import zlib
from base64 import b64encode
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
import zstandard

from runbus.config.errors import RunBusError
from runbus.local.clickhouse_http.compression import encoder, inflate
from runbus.local.clickhouse_http.errors import EngineError, engine_error
from runbus.local.clickhouse_http.users import authenticate, load_users, save_users, user

USERS = {"owner": user("owner", "pässword", owner=True), "reader": user("reader", "", settings={"max_threads": "1"})}


def test_engine_text_is_cut_to_its_own_message() -> None:
    """What chDB puts in front of ClickHouse's message is dropped; code and status follow from it."""
    error = EngineError("Streaming query failed: Code: 60. DB::Exception: Table d.t does not exist. (UNKNOWN_TABLE)\n")
    assert error.text == "Code: 60. DB::Exception: Table d.t does not exist. (UNKNOWN_TABLE)"
    assert (error.code, error.status) == (60, 404)


def test_text_without_a_code_is_unknown() -> None:
    """An error that is not the engine's still has a code and is a server error."""
    error = EngineError("out of cheese")
    assert (error.code, error.status) == (1002, 500)
    assert error.text == "Code: 1002. DB::Exception: out of cheese (UNKNOWN_EXCEPTION)"


@pytest.mark.parametrize(
    ("code", "status"), [(62, 400), (516, 403), (60, 404), (159, 408), (48, 501), (164, 500), (395, 500), (241, 500)]
)
def test_status_is_that_of_a_server(code: int, status: int) -> None:
    """Pairs taken from ClickHouse's own table."""
    assert engine_error(code, "NAME", "text").status == status


def test_users_file_round_trips_and_is_private(tmp_path: Path) -> None:
    """Users come back as written; the file holds no clear password and is for its owner only."""
    path = tmp_path / "users.json"
    path.touch(mode=0o644)
    save_users(path, tuple(USERS.values()))
    assert load_users(path) == USERS
    assert "pässword" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"a": {}}', '{"a": 1}'])
def test_malformed_users_file_is_one_error(tmp_path: Path, content: str) -> None:
    """A damaged file is named."""
    path = tmp_path / "users.json"
    path.write_text(content)
    with pytest.raises(RunBusError, match=r"cannot read the users of .*users\.json"):
        load_users(path)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-clickhouse-user": "owner", "x-clickhouse-key": "pässword"}, {}),
        ({"authorization": "Basic " + b64encode("owner:pässword".encode()).decode()}, {"user": "reader"}),
        ({}, {"user": "owner", "password": "pässword"}),
    ],
)
def test_three_ways_to_log_in(headers: dict[str, str], query: dict[str, str]) -> None:
    """Headers win over basic authentication, which wins over the URL."""
    assert authenticate(USERS, headers, query).name == "owner"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-clickhouse-user": "owner"},
        {"x-clickhouse-user": "owner", "x-clickhouse-key": "password"},
        {"x-clickhouse-user": "nobody", "x-clickhouse-key": "pässword"},
        {"authorization": "Basic not-base64!"},
        {"authorization": "Bearer token"},
    ],
)
def test_anything_else_is_refused(headers: dict[str, str]) -> None:
    """A wrong name, a wrong password and a broken header all get error 516."""
    with pytest.raises(EngineError) as caught:
        authenticate(USERS, headers, {})
    assert caught.value.code == 516


DATA = b"step " * 10_000


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("", DATA),
        ("identity", DATA),
        ("gzip", gzip.compress(DATA)),
        ("deflate", zlib.compress(DATA)),
        ("lz4", lz4.frame.compress(DATA)),
        ("zstd", zstandard.compress(DATA)),
        ("zstd", zstandard.compress(DATA[:20_000]) + zstandard.compress(DATA[20_000:])),
        ("ZSTD", zstandard.ZstdCompressor(write_content_size=False).compress(DATA)),
    ],
)
def test_inflate(coding: str, packed: bytes) -> None:
    """Every coding of the stock client is understood."""
    assert inflate(packed, coding) == DATA


@pytest.mark.parametrize("coding", ["gzip", "deflate", "lz4", "zstd"])
@pytest.mark.parametrize("body", [b"", b"garbage"])
def test_inflate_refuses_garbage(coding: str, body: bytes) -> None:
    """Corrupt bytes are the client's error, an empty body is just empty."""
    if body == b"":
        assert inflate(body, coding) == b""
        return
    with pytest.raises(EngineError, match="Cannot decompress"):
        inflate(body, coding)


def test_truncated_body_is_refused() -> None:
    """Half a body never passes for a whole one."""
    for coding, packed in {"gzip": gzip.compress(DATA), "zstd": zstandard.compress(DATA)}.items():
        with pytest.raises(EngineError):
            inflate(packed[:-5], coding)


@pytest.mark.parametrize("accept", ["lz4", "zstd", "gzip", "deflate", "br, gzip;q=0.5, deflate"])
def test_encoder_packs_in_pieces(accept: str) -> None:
    """What is packed piece by piece unpacks to the same."""
    coding = encoder(accept)
    assert coding is not None
    pieces = [coding[1].compress(DATA[:7]), coding[1].compress(DATA[7:]), coding[1].flush()]
    assert inflate(b"".join(pieces), coding[0]) == DATA


def test_encoder_of_nothing() -> None:
    """An empty stream is a valid stream; an unknown coding means no compression."""
    coding = encoder("lz4")
    assert coding is not None
    assert inflate(coding[1].flush(), "lz4") == b""
    assert encoder("br") is None
    assert encoder("") is None
