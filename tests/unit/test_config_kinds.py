"""Each kind of value: what it reads, and the sentence for what it does not read."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbus.config.address import brokers, http_url, listener
from runbus.config.errors import ConfigError
from runbus.config.kinds import (
    Kind,
    choice,
    file,
    integer,
    mebibytes,
    number,
    optional,
    path,
    seconds,
    secret,
    switch,
    text,
)
from runbus.config.secret import Secret


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (text(), "any thing", "any thing"),
        (text("[a-z]+", "letters"), "abc", "abc"),
        (integer(1, 64), "64", 64),
        (integer(1), "1e6", 1_000_000),
        (integer(1), "250000.0", 250_000),
        (number(0, 1), "0.1", 0.1),
        (number(0), "1e300", 1e300),
        (seconds(0, 3600), "0", 0.0),
        (mebibytes(1, 256), "16", 16 * 2**20),
        (choice("lz4", "none"), "LZ4", "lz4"),
        (choice("PLAIN", "SSL"), "ssl", "SSL"),
        (switch(), "Yes", True),
        (switch(), "0", False),
        (secret(), "hunter2", Secret("hunter2")),
        (path(), "not/there", Path("not/there")),
        (file(), "", ""),
        (optional(seconds(1, 2)), "", None),
        (optional(seconds(1, 2)), "1.5", 1.5),
        (http_url("USER", "http://a"), "https://a:1/", "https://a:1"),
        (brokers(), "a:1, b:2", "a:1,b:2"),
        (listener(), "", ""),
        (listener(), "[::]:9464", "[::]:9464"),
    ],
)
def test_a_good_value_is_read(kind: Kind[object], given: str, value: object) -> None:
    """The text becomes the value, of the right type."""
    found = kind.parse("V", given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        (text("[a-z]+", "letters"), "a1", "V='a1' is not allowed: give letters"),
        (integer(1, 64), "0", "V='0' is not an integer from 1 to 64"),
        (integer(1, 64), "65", "V='65' is not an integer from 1 to 64"),
        (integer(1), "1.5", "V='1.5' is not an integer, 1 or more"),
        (integer(1, 9, "steps"), "many", "V='many' is not an integer from 1 to 9 steps"),
        (integer(0), "inf", "V='inf' is not an integer, 0 or more"),
        (integer(0), "nan", "V='nan' is not an integer, 0 or more"),
        (integer(0), "", "V='' is not an integer, 0 or more"),
        (number(0, 0.5), "nan", "V='nan' is not a number from 0 to 0.5"),
        (seconds(0.01, 3600), "0", "V='0' is not a number from 0.01 to 3600 s"),
        (seconds(0), "-1", "V='-1' is not a number, 0 s or more"),
        (mebibytes(1, 256), "257", "V='257' is not an integer from 1 to 256 MiB"),
        (choice("lz4", "none"), "gzip", "V='gzip' is not one of lz4, none"),
        (switch(), "maybe", "V='maybe' is not one of true, 1, yes, y, on, t, false, 0, no, n, off, f"),
        (file(), "/not/there", "V names /not/there, which is not a file"),
        (optional(integer(1, 2)), "3", "V='3' is not an integer from 1 to 2"),
        (http_url("USER", "http://a"), "ftp://a", "V='ftp://a' is not a URL like http://a"),
        (brokers(), "u:p@a:1", "V='***@a:1' is not host:port[,host:port...]; '***@a:1' is wrong"),
        (listener(), "a:65536", "V='a:65536' is not an address like 127.0.0.1:9464"),
    ],
)
def test_a_bad_value_is_one_sentence(kind: Kind[object], given: str, says: str) -> None:
    """It names the variable, the value and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        kind.parse("V", given)
    assert str(caught.value) == says


def test_what_is_allowed_is_told_with_its_unit() -> None:
    """The page and the help have the bounds, the choices and the unit from the kind."""
    kinds: list[Kind[object]] = [integer(1, 64), seconds(0.5, 31_536_000), number(0, unit="h"), mebibytes(1, 256)]
    assert [kind.allowed for kind in kinds] == ["1 to 64", "0.5 to 31536000 s", "0 h or more", "1 to 256 MiB"]
    assert [kind.unit for kind in kinds] == ["", "s", "h", "MiB"]
    assert choice("a", "b").allowed == "a, b"
    assert (optional(seconds(0, 1)).allowed, optional(seconds(0, 1)).unit) == ("0 to 1 s", "s")
