"""Export, ingest, export again: the rows are equal, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium.vector import AutoresetMode

from runbus.export.api import Choice
from runbus.export.descriptions import Description, document
from runbus.export.job import export
from runbus.export.parquet import ParquetEpisodes
from runbus.ingest.acts import Defaults
from runbus.ingest.files.parquet import parquet_file
from runbus.ingest.formats import CannotIngest
from runbus.recorder import ABSENT, Recorder
from runbus.replay import Episode
from tests.support import autoreset_matrix as matrix
from tests.support.ingested import Ingested, recorded
from tests.unit.export.recorded_episodes import described, episodes_of, played
from tests.unit.export.recorded_episodes import recorded as recorded_episodes

ALL = Choice(incomplete=True)


def written(
    episodes: list[Episode], path: Path, said: list[Description] | None = None, *, raw: bool = False
) -> pa.Table:
    """Export episodes and return the table."""
    about = document(episodes[0].stream.run_id, said or described(episodes))
    export(episodes, ParquetEpisodes(path, raw=raw), ALL, about)
    return pq.read_table(path)


def again(path: Path, **defaults: Any) -> Ingested:
    """Ingest a file."""
    return recorded(parquet_file(path, Defaults(**{"run": "", **defaults})))


def equal(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two files have the same rows, bit for bit, but for the names of the recordings."""
    columns = [name for name in one.column_names if name not in ("run_id", "attempt")]
    return one.schema == other.schema and all(_bytes(one[name]) == _bytes(other[name]) for name in columns)


def _bytes(column: pa.ChunkedArray) -> list[Any]:
    """Return a column so that NaNs of other bits differ and equal ones are equal."""
    return [_value(value) for value in column.to_pylist()]


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return np.float64(value).tobytes()
    if isinstance(value, (list, tuple)):
        return [_value(part) for part in value]
    return {name: _value(part) for name, part in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize("space", matrix.SPACES)
def test_a_file_comes_back_as_it_was(space: str, raw: bool, tmp_path: Path) -> None:
    """Every space; terminated, truncated, both, and abandoned episodes, of several environments at once."""
    _, episodes = played(space, AutoresetMode.SAME_STEP)
    before = written(episodes, tmp_path / "a.parquet", raw=raw)
    found = again(tmp_path / "a.parquet")
    assert equal(before, written(episodes_of(found.batches), tmp_path / "b.parquet", raw=raw))
    (one,) = found.started
    assert (one.run_id, json.loads(one.config), one.labels, one.tags) == (
        "run-1-ingested",
        {"lr": 0.1},
        {"task": "a"},
        ["tag"],
    )
    assert found.ends == [("completed", "")]


def conversation(recorder: Recorder) -> None:
    """Record what language models' rows have."""
    first = recorder.reset("ask", seed=2**80, labels={"group": "g"}, info={"b": [1, None], "a": "ü"})
    recorder.log({"loss": 0.5})
    recorder.log({"loss": float("nan")})
    called = recorder.step({"tool": "x", "n": [1, 2.5]}, 0.25, False, False, "seen", kind="model", parent=first, tick=7)
    recorder.step({"tool": "y"}, -0.0, True, False, ABSENT, kind="tool", status="error", parent=called, stop="done")
    recorder.reset("again")


def ragged(recorder: Recorder) -> None:
    """Record arrays of changing length, with NaNs of two kinds."""
    bits = np.array([0x7FC00001, 0x7F800000], np.uint32).view(np.float32)
    recorder.reset(np.arange(3, dtype=np.int32))
    for n in range(5):
        recorder.step(np.append(bits, np.zeros(n, np.float32)), 1.0, n == 4, False, np.arange(n, dtype=np.int32))


@pytest.mark.parametrize("play", [conversation, ragged])
def test_words_numbers_and_odd_values_come_back(play: Callable[[Recorder], None], tmp_path: Path) -> None:
    """Seeds of any size, labels, info, parents, ticks, numbers logged twice, absent values, arrays of any length."""
    before = written(recorded_episodes(play), tmp_path / "a.parquet")
    after = written(episodes_of(again(tmp_path / "a.parquet").batches), tmp_path / "b.parquet")
    assert equal(before, after)


def test_parents_are_those_of_the_rows_that_are_there(tmp_path: Path) -> None:
    """An export of some episodes has gaps in seq; the new recording has none."""

    def play(recorder: Recorder) -> None:
        for _ in range(3):
            first = recorder.reset("o")
            recorder.step("a", 0.0, True, False, "o", parent=first)

    episodes = recorded_episodes(play)[1:]
    written(episodes, tmp_path / "a.parquet")
    table = written(episodes_of(again(tmp_path / "a.parquet").batches), tmp_path / "b.parquet")
    assert (table["seq"].to_pylist(), table["parent"].to_pylist()) == ([0, 1, 2, 3], [None, 0, None, 2])
    assert table["episode"].to_pylist() == [1, 1, 2, 2]


def test_attempts_and_agents_stay_apart(tmp_path: Path) -> None:
    """Each is a stream of its own."""
    one, two = (recorded_episodes(conversation) for _ in range(2))
    written([*one, *two], tmp_path / "a.parquet")
    assert [len(rows) for rows in again(tmp_path / "a.parquet", run="r").attempts()] == [4, 4]


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """With one sentence."""
    (tmp_path / "a").write_bytes(b"PAR1")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b")
    for name, words in (("a", "cannot be read as Parquet"), ("b", "was not written by runbus export")):
        with pytest.raises(CannotIngest, match=words):
            list(parquet_file(tmp_path / name, Defaults("r")))
