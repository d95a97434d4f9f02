"""Datasets of Minari: those of its own, and those of an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - Minari does not ask for it before it writes
import minari
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from minari.data_collector.episode_buffer import EpisodeBuffer

from runbus.export.api import Choice
from runbus.export.descriptions import document
from runbus.export.job import export
from runbus.export.minari import MinariEpisodes
from runbus.ingest.acts import Defaults
from runbus.ingest.files.minari_dataset import minari_dataset
from runbus.ingest.formats import CannotIngest
from tests.support import autoreset_matrix as matrix
from tests.support.ingested import recorded
from tests.unit.export.recorded_episodes import described, episodes_of, played


@pytest.mark.parametrize("space", ["box", "dict", "mixed"])
def test_an_exported_dataset_comes_back(space: str, tmp_path: Path) -> None:
    """Observations, actions, rewards, flags, seeds, wall times and logged numbers of every complete episode."""
    _, episodes = played(space, AutoresetMode.NEXT_STEP)
    episodes = [one for one in episodes if one.complete]
    about = document("run-1", described(episodes, space))
    export(episodes, MinariEpisodes(tmp_path / "a-v0", described(episodes, space)), Choice(), about)
    found = recorded(minari_dataset(tmp_path / "a-v0", Defaults("")))
    again = episodes_of(found.batches)
    assert len(again) == len(episodes)
    assert found.started[0].run_id == "a-v0"
    for one, other in zip(episodes, again, strict=True):
        mine, theirs = one.rows, other.rows
        assert (mine.layouts, mine.texts.get("seed")) == (theirs.layouts, theirs.texts.get("seed"))
        for name in ("ts", "reward", "terminated", "truncated", "step"):
            assert getattr(mine, name).tobytes() == getattr(theirs, name).tobytes(), name
        assert matrix.same(mine.observation, theirs.observation)
        assert matrix.same(mine.take(slice(1, None)).action, theirs.take(slice(1, None)).action)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # it asks for links and authors
def test_a_dataset_of_minaris_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seeds, infos and spaces; text is text."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    space = spaces.Dict({"x": spaces.Box(-1, 1, (2,), np.float32), "say": spaces.Text(5)})
    observations: dict[str, Any] = {"x": np.arange(8, dtype=np.float32).reshape(4, 2) / 8, "say": ["a", "bc", "d", "e"]}
    buffer = EpisodeBuffer(
        seed=2**63 - 1,
        observations=observations,
        actions=np.array([1, 0, 1]),
        rewards=[0.5, 0.25, 1.0],
        terminations=[False, False, True],
        truncations=[False, False, False],
        infos={"lives": np.array([3, 3, 2, 2])},
    )
    minari.create_dataset_from_buffers(
        "own/test-v0", [buffer], observation_space=space, action_space=spaces.Discrete(2), jpeg_encoding=False
    )
    found = recorded(minari_dataset(tmp_path / "own" / "test-v0", Defaults("", "expert")))
    rows = found.rows("expert")
    assert [(row.at, row.reward, row.over) for row in rows] == [
        ((0, 0), 0.0, (False, False)), ((0, 1), 0.5, (False, False)), ((0, 2), 0.25, (False, False)),
        ((0, 3), 1.0, (True, False)),
    ]  # fmt: skip
    assert [int(row.action) for row in rows[1:]] == [1, 0, 1]
    assert [row.observation["say"] for row in rows] == observations["say"]
    assert all(np.array_equal(row.observation["x"], x) for row, x in zip(rows, observations["x"], strict=True))
    assert [json.loads(row.info or "") for row in rows] == [{"lives": n} for n in (3, 3, 2, 2)]
    (one,) = found.started
    assert (rows[0].seed, one.run_id, json.loads(one.action_space)["type"]) == (2**63 - 1, "own:test-v0", "Discrete")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """With one sentence."""
    with pytest.raises(CannotIngest, match="is no folder of a Minari dataset"):
        list(minari_dataset(tmp_path, Defaults("r")))
