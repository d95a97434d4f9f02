"""Minari datasets, opened by Minari: every episode is what the environment's ledger has, bit for bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from minari import MinariDataset

from runbus.export import minari
from runbus.export.api import Choice, Outcome
from runbus.export.errors import CannotExport
from runbus.export.job import export
from runbus.export.minari import ABSENT as WITHOUT
from runbus.export.minari import GAPS, NO_STEP, MinariEpisodes
from runbus.recorder import ABSENT, Recorder
from runbus.replay import Episode
from tests.support import autoreset_matrix as matrix
from tests.support.exported import by_env, minari_ledger, with_ends
from tests.unit.export.recorded_episodes import described, played, recorded

ALL = Choice(incomplete=True)


def written(
    episodes: list[Episode], folder: Path, choice: Choice = ALL, space: str = ""
) -> tuple[MinariDataset, Outcome]:
    """Export; return the dataset, and what was done."""
    path = folder / "data-v0"
    outcome = export(episodes, MinariEpisodes(path, described(episodes, space)), choice, {"run_id": "run-1"})
    return MinariDataset(path / "data"), outcome


@pytest.mark.parametrize("space", matrix.SPACES)
def test_the_dataset_is_the_ledger(space: str, tmp_path: Path) -> None:
    """Every space and resetting mode, episodes of 1 to 6 steps, terminated, truncated, both, and abandoned."""
    mode = list(AutoresetMode)[list(matrix.SPACES).index(space) % len(AutoresetMode)]
    ledgers, episodes = played(space, mode, steps=20)
    dataset, outcome = written(episodes, tmp_path, space=space)
    expected, cut = with_ends(ledgers)
    assert outcome.left_out.get(NO_STEP, 0) == sum(map(len, ledgers)) - sum(map(len, expected))
    assert outcome.notes[0].startswith(f"{cut} episodes have no end")
    assert matrix.same(by_env(minari_ledger(dataset), len(ledgers)), expected)
    assert (dataset.observation_space, dataset.action_space) == (matrix.SPACES[space], matrix._ACTIONS)
    assert dataset.total_steps == sum(len(episode["steps"]) for ledger in expected for episode in ledger)


def test_complete_episodes_only(tmp_path: Path) -> None:
    """By default what has no end is left out, counted; nothing is made up."""
    ledgers, episodes = played("box", AutoresetMode.NEXT_STEP, steps=20)
    dataset, outcome = written(episodes, tmp_path, Choice())
    ended = [[one for one in ledger if one["steps"] and any(one["steps"][-1][2:4])] for ledger in ledgers]
    assert matrix.same(by_env(minari_ledger(dataset), len(ledgers)), ended)
    assert sum(outcome.left_out.values()) == sum(map(len, ledgers)) - sum(map(len, ended))
    assert outcome.notes == []
    assert dataset.observation_space == spaces.Box(-np.inf, np.inf, (3,), np.float32)  # nothing was described


@pytest.mark.parametrize("dtype", ["|b1", "|i1", "<u2", "<i8", "<u8", "<f2", "<f4", "<f8"])
def test_every_dtype(dtype: str, tmp_path: Path) -> None:
    """Numbers keep their bits and dtype, as the space says; an image is no JPEG."""
    first = np.resize(np.array([0, 1, 1, 0, 0], dtype), (40, 40, 3))

    def play(recorder: Recorder) -> None:
        recorder.reset(first)
        recorder.step(first[0, 0, 0], 1, True, False, ~first if dtype == "|b1" else first + first)

    (episode,) = recorded(play)
    dataset, _ = written([episode], tmp_path)
    assert matrix.same(dataset[0].observations, np.asarray(episode.observations))
    assert matrix.same(dataset[0].actions, np.asarray(episode.actions))
    assert dataset.observation_space.contains(dataset[0].observations[1])


def test_what_minari_has_no_word_for_is_left_out_or_refused(tmp_path: Path) -> None:
    """An episode with a hole or an absent value is counted; JSON, ragged and unrecorded values end the export."""

    def play(recorder: Recorder) -> None:
        for seen in (1.0, ABSENT):
            recorder.reset(0.0)
            recorder.step(0, 1, False, False, seen)
            recorder.step(0, 1, True, False, 2.0)

    whole, absent = recorded(play)
    gap = Episode(whole.rows.take(np.array([0, 2])), complete=False)
    dataset, outcome = written([whole, absent, gap], tmp_path)
    assert outcome.left_out == {WITHOUT: 1, GAPS: 1}
    assert (len(dataset), dataset[0].observations.tolist()) == (1, [0.0, 1.0, 2.0])


REFUSED: dict[str, tuple[Any, str]] = {
    "json": ({"tool": "x"}, "observations: they are recorded as json"),
    "lists": ([[1], [2, 3]], "observations: they are recorded as json"),
    "none": (None, "observations: they are recorded as nothing"),
    "text": ("go", "text of no described space"),
    "path": ({"a/b": np.zeros(2)}, "the key 'a/b' is a path"),
    "empty": (np.zeros((0, 2)), "arrays without a number in them"),
    "nul": ({"a": np.zeros(2), "b": "\0"}, "text of no described space"),
    "object": (object(), "observations: they are recorded as omitted:json"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    """One sentence says which values, why, and which format has them."""
    value, said = REFUSED[name]

    def play(recorder: Recorder) -> None:
        recorder.reset(value)
        recorder.step(0, 1, True, False, value)

    with pytest.raises(CannotExport, match=said) as raised:
        written(recorded(play), tmp_path)
    assert str(raised.value).endswith("--format parquet has them")


def test_spaces_of_agents_and_layouts_are_one(tmp_path: Path) -> None:
    """A dataset has one space: agents that differ in it are told apart by the user."""
    _, episodes = played("box", AutoresetMode.SAME_STEP)
    other = played("box", AutoresetMode.SAME_STEP)[1]
    writer = MinariEpisodes(tmp_path / "a-v0", [*described(episodes, "box"), *described(other, "scalar")])
    with pytest.raises(CannotExport, match=r"different spaces.*--agent"):
        export([*episodes, *other], writer, ALL, {})
    with pytest.raises(CannotExport, match="several layouts"):
        written([*episodes, *played("image", AutoresetMode.SAME_STEP)[1]], tmp_path / "b")


def test_what_else_a_loop_says_is_in_infos_and_metadata(tmp_path: Path) -> None:
    """Seeds of any size, labels, logged numbers, ticks; of several numbers the last, and that is said."""

    def play(recorder: Recorder) -> None:
        recorder.reset(0, seed=2**70, labels={"task": "a"})
        recorder.log({"loss/policy": 1.0})
        recorder.log({"loss/policy": 2.0})
        recorder.step(0, 1, True, False, 0, tick=7, stop="solved", info={"x": 1})

    dataset, outcome = written(recorded(play, agent="walker"), tmp_path)
    (fact,) = dataset.storage.get_episode_metadata([0])
    assert (fact["seed"], fact["labels"], fact["agent_id"], bool(fact["complete"])) == (
        2**70,
        {"task": "a"},
        "walker",
        True,
    )
    infos = dataset[0].infos
    assert (math.isnan(infos["logged"]["loss%2Fpolicy"][0]), infos["logged"]["loss%2Fpolicy"][1]) == (True, 2.0)
    assert (infos["tick"].tolist(), infos["stop"].tolist(), infos["info"].tolist()) == (
        [-1, 7],
        [b"", b"solved"],
        [b"", b'{"x":1}'],
    )
    assert outcome.notes == ["1 numbers are left out: of several of one name in one step the dataset has the last"]
    assert dataset.storage.metadata["runbus"]["run_id"] == "run-1"


@pytest.mark.parametrize(("limit", "value"), [("GROUP_EPISODES", 4), ("GROUP_BYTES", 3000)])
def test_little_is_held(limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes are written in groups as they come; the dataset is the same."""
    monkeypatch.setattr(minari, limit, value)
    ledgers, episodes = played("mixed", AutoresetMode.SAME_STEP, steps=20)
    writer, most = MinariEpisodes(tmp_path / "data-v0", described(episodes, "mixed")), 0
    for episode in episodes:
        writer.write(episode)
        most = max(most, len(writer._held))
    writer.close({})
    assert most < 4
    dataset = MinariDataset(tmp_path / "data-v0" / "data")
    assert matrix.same(by_env(minari_ledger(dataset), len(ledgers)), with_ends(ledgers)[0])


def test_minari_loads_it_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is a dataset of the folder around it; a name that is no id is refused before anything is read."""
    import minari as library

    written(played("box", AutoresetMode.NEXT_STEP)[1], tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert library.load_dataset("data-v0").id == "data-v0"
    assert list(library.list_local_datasets()) == ["data-v0"]
    with pytest.raises(CannotExport, match="ends with a version"):
        MinariEpisodes(tmp_path / "data", [])
