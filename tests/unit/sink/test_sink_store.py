"""Takes only whole answers to a count."""

import pytest

from runbus.clickhouse.errors import Configuration
from runbus.sink.store import _numbers


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        (b'{"meta": [], "data": [], "rows": 0}', []),
        (b'{"meta": [], "data": [[7, 256], [8, 1]], "rows": 2, "statistics": {}}', [[7, 256], [8, 1]]),
        (b'{"data": [["9223372036854775807", "1"]], "rows": 1}', [[2**63 - 1, 1]]),  # servers before 25.8 quote them
    ],
)
def test_a_whole_answer_is_its_rows(answer: bytes, rows: list[list[int]]) -> None:
    """Numbers, quoted or not; no rows are an answer too, if a ClickHouse says so."""
    assert _numbers(answer) == rows


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"OK",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": [], "rows": 1}',
        b'{"data": [[1, "x"]], "rows": 1}',
        b'{"data": [1], "rows": 1}',
        b'{"meta": [], "data": [[7, 256]',
    ],
)
def test_anything_else_is_nobodys_answer(answer: bytes) -> None:
    """It must not pass for "no rows": what is believed to be missing is inserted again."""
    with pytest.raises(Configuration, match="is not ClickHouse"):
        _numbers(answer)
