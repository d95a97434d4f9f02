"""Parquet files, read by pyarrow: every row is what the environment's ledger has, bit for bit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium.vector import AutoresetMode

from runbus.export import parquet
from runbus.export.api import Choice, Outcome
from runbus.export.descriptions import document
from runbus.export.errors import CannotExport
from runbus.export.job import export
from runbus.export.parquet import ParquetEpisodes
from runbus.recorder import ABSENT, Recorder
from runbus.replay import Episode
from tests.support import autoreset_matrix as matrix
from tests.support.exported import by_env, parquet_ledger, values
from tests.unit.export.recorded_episodes import described, played, recorded

ALL = Choice(incomplete=True)


def written(
    episodes: list[Episode], path: Path, choice: Choice = ALL, *, raw: bool = False
) -> tuple[pa.Table, dict[str, Any], Outcome]:
    """Export; return the table, the description in the file, and what was done."""
    outcome = export(episodes, ParquetEpisodes(path, raw=raw), choice, document("run-1", described(episodes)))
    about = json.loads(pq.read_metadata(path).metadata[b"runbus"])
    return pq.read_table(path), about, outcome


@pytest.mark.parametrize("space", matrix.SPACES)
def test_the_file_is_the_ledger(space: str, tmp_path: Path) -> None:
    """Every space and resetting mode, episodes of 0 to 6 steps, terminated, truncated, both, and abandoned."""
    for number, mode in enumerate(AutoresetMode):
        ledgers, episodes = played(space, mode)
        table, about, outcome = written(episodes, tmp_path / f"{number}.parquet")
        assert (outcome.episodes, outcome.left_out, outcome.notes) == (sum(map(len, ledgers)), {}, [])
        assert matrix.same(by_env(parquet_ledger(table, about), len(ledgers)), ledgers)


def test_incomplete_episodes_only_if_asked(tmp_path: Path) -> None:
    """They are counted and said; with --incomplete they are there, and marked."""
    _, episodes = played("box", AutoresetMode.NEXT_STEP)
    whole = [episode for episode in episodes if episode.complete]
    assert 0 < len(whole) < len(episodes)
    table, about, outcome = written(episodes, tmp_path / "a.parquet", Choice())
    assert table.num_rows == outcome.rows == about["rows"] == sum(len(episode.rows) for episode in whole)
    assert all(table["complete"].to_pylist())
    assert list(outcome.left_out.values()) == [len(episodes) - len(whole)] == list(about["left_out"].values())
    marked, _, _ = written(episodes, tmp_path / "b.parquet")
    assert set(marked["complete"].to_pylist()) == {True, False}
    assert marked.filter(marked["complete"]).equals(table)


VALUES: dict[str, list[Any]] = {
    **{
        dtype: [np.array([0, 1, 2], dtype), np.array([1, 0, 1], dtype)]
        for dtype in ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
    },
    "scalars": [np.float16(0.1), np.float16(-0.0)],
    "greatest": [np.uint64(2**64 - 1), np.uint64(2**63)],
    "matrix": [np.arange(6, dtype="<f4").reshape(2, 3), np.full((2, 3), np.inf, "<f4")],
    "nothing": [np.zeros((2, 0), "<f4"), np.zeros((2, 0), "<f4")],
    "text": ["", "日本 \x00 é"],
    "json": [{"tool": "x", "n": [1, None]}, ["a", 2.5]],
    "none": [None, None],
    "nested": [{"a": (np.int8(1), {"t": "x"})}, {"a": (np.int8(-1), {"t": ""})}],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("raw", [False, True])
def test_every_dtype_and_shape(name: str, raw: bool, tmp_path: Path) -> None:
    """Numbers keep their bits and dtype, text its characters, JSON its data; typed, and as bytes beside their dtype."""
    first, second = VALUES[name]

    def play(recorder: Recorder) -> None:
        recorder.reset(first)
        recorder.step(second, 1, True, False, second)

    table, about, _ = written(recorded(play), tmp_path / "a.parquet", raw=raw)
    if first is None:
        assert raw or not {"action", "observation"} & set(table.column_names)
        return
    if raw:
        dtype, shape = table["observation_dtype"][0].as_py(), table["observation_shape"][0].as_py()
        if isinstance(first, (np.ndarray, np.generic)):
            found = np.frombuffer(table["observation"][1].as_py(), dtype).reshape(shape)
            assert matrix.same(found, np.asarray(second))
        assert table["action"].is_valid().to_pylist() == [False, True]
        return
    assert matrix.same(values(table["observation"], about["values"]["observation"]), [first, second])
    assert matrix.same(values(table["action"], about["values"]["action"]), [None, second])


@pytest.mark.parametrize("item", [(), (2,)])
def test_arrays_of_changing_length_are_lists(item: tuple[int, ...], tmp_path: Path) -> None:
    """Ragged values stay apart, an absent one is null and an empty one is not."""
    tokens = [np.arange(n * math.prod(item), dtype="<i4").reshape(n, *item) for n in (3, 0, 5)]

    def play(recorder: Recorder) -> None:
        recorder.reset(tokens[0])
        recorder.step(1, 0, False, False, ABSENT)  # so far all have one length, and the stream's layout says so
        for seen in tokens[1:]:
            recorder.step(1, 0, False, False, seen)
        recorder.step(1, 0, True, False, tokens[0])

    table, about, _ = written(recorded(play), tmp_path / "a.parquet")
    assert about["values"]["observation"] == {"dtype": "<i4", "shape": [-1, *item]}
    expected = [None if n is None else tokens[n].tolist() for n in (0, None, 1, 2, 0)]
    assert table["observation"].to_pylist() == expected


def shapes_change(recorder: Recorder) -> None:
    """Record two episodes whose observations have other shapes."""
    for size in (2, 3):
        recorder.reset(np.ones((size, 2)))
        recorder.step(0, 1, True, False, np.zeros((size, 2)) + size)


def test_several_layouts_are_refused_or_raw(tmp_path: Path) -> None:
    """A column has one type: the sentence names both layouts and what to do; as bytes all of them fit."""
    episodes = [episode for part in (shapes_change, text_comes) for episode in recorded(part)]
    with pytest.raises(CannotExport, match=r"actions have several layouts, <i8 and .* text: .*--values raw"):
        written(episodes, tmp_path / "a.parquet")
    table, about, _ = written(episodes, tmp_path / "b.parquet", raw=True)
    assert about["values"] == "raw"
    found = zip(*(table[f"observation{name}"].to_pylist() for name in ("", "_dtype", "_shape")), strict=True)
    seen = [
        raw.decode() if dtype == "text" else np.frombuffer(raw, dtype).reshape(shape) for raw, dtype, shape in found
    ]
    assert matrix.same(seen[1], np.full((2, 2), 2.0))
    assert seen[-1] == "done"


def text_comes(recorder: Recorder) -> None:
    """Record an episode of texts."""
    recorder.reset("go")
    recorder.step("act", 1, True, False, "done")


def test_what_was_not_recorded_is_said(tmp_path: Path) -> None:
    """Omitted observations, or parts of one, have no column; the file and the user are told their layout."""

    def play(recorder: Recorder) -> None:
        recorder.reset(np.zeros(3, "<f4"))
        recorder.step(0, 1, True, False, np.zeros(3, "<f4"))

    table, about, outcome = written(recorded(play, observations="none"), tmp_path / "a.parquet")
    assert "observation" not in table.column_names
    assert about["values"]["observation"] == {"dtype": "omitted:<f4", "shape": [3]}
    assert outcome.notes == ["parts of observations were not recorded: omitted:<f4[3]"]

    def camera(recorder: Recorder) -> None:
        recorder.reset({"at": np.zeros(2), "image": np.zeros((9, 9, 3), np.uint8)})
        recorder.step(0, 1, True, False, {"at": np.ones(2), "image": np.zeros((9, 9, 3), np.uint8)})

    for raw in (False, True):
        table, _, outcome = written(recorded(camera, observations="auto"), tmp_path / f"{raw}.parquet", raw=raw)
        assert len(outcome.notes) == 1
        assert "omitted:|u1" in outcome.notes[0]
        assert raw or table["observation"].to_pylist()[1] == {"at": [1.0, 1.0]}


def test_everything_that_a_loop_says_is_there(tmp_path: Path) -> None:
    """Seeds of any size, labels, kinds, parents, stop, infos, ticks and all logged numbers, NaN among them."""

    def play(recorder: Recorder) -> None:
        seq = recorder.reset(0, seed=2**70, labels={"task": "a/b"})
        recorder.log({"loss": 1.0})
        recorder.log({"loss": math.nan, "lr": 0.5})
        recorder.step(0, 1, False, False, 0, kind="model", status="ok", parent=seq, tick=7, info={"x": [1]})
        recorder.step(0, 1, True, False, 0, stop="solved")

    table, _, _ = written(recorded(play), tmp_path / "a.parquet")
    reset, step, last = table.select(
        ["seed", "labels", "kind", "status", "parent", "tick", "info", "logged", "stop"]
    ).to_pylist()
    assert (reset["seed"], reset["labels"], reset["tick"]) == (str(2**70), [("task", "a/b")], None)
    assert (step["kind"], step["status"], step["parent"], step["tick"]) == ("model", "ok", 0, 7)
    assert json.loads(step["info"]) == {"x": [1]}
    assert str(step["logged"]) == "[('loss', [1.0, nan]), ('lr', [0.5])]"
    assert (last["stop"], last["logged"], last["seed"]) == ("solved", [], None)


def test_the_description_is_in_the_file(tmp_path: Path) -> None:
    """Spaces and config of each stream, what several say alike once."""
    _, episodes = played("box", AutoresetMode.DISABLED)
    writer = ParquetEpisodes(tmp_path / "a.parquet")
    export(episodes, writer, Choice(), document("run-1", described(episodes, "box") * 2))
    about = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"runbus"])
    assert [about["run_id"], about["format"], len(about["streams"]), len(about["texts"])] == ["run-1", 1, 2, 3]
    (stream, other) = about["streams"]
    assert stream == other
    assert json.loads(about["texts"][stream["config"]]) == {"lr": 0.1}
    assert json.loads(about["texts"][stream["observation_space"]])["type"] == "Box"
    assert (stream["labels"], stream["tags"], stream["outcome"]) == ({"task": "a"}, ["tag"], "completed")


@pytest.mark.parametrize("limit", ["GROUP_ROWS", "GROUP_BYTES"])
def test_little_is_held(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written in groups as they come; the file says the same."""
    _, episodes = played("mixed", AutoresetMode.SAME_STEP)
    table, _, _ = written(episodes, tmp_path / "a.parquet")
    monkeypatch.setattr(parquet, limit, 20 if limit == "GROUP_ROWS" else 4000)
    writer, most = ParquetEpisodes(tmp_path / "b.parquet"), 0
    for episode in episodes:
        writer.write(episode)
        most = max(most, writer._held_rows)
    writer.close({})
    assert most < 20
    assert pq.read_metadata(tmp_path / "b.parquet").num_row_groups > 5
    assert pq.read_table(tmp_path / "b.parquet").equals(table)
