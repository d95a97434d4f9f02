"""Writes episodes as a Minari dataset in its HDF5 format, images without JPEG, so every number is as it was recorded.

Its Arrow and Parquet formats are not for long episodes: of one of 200,000 steps Minari's reader (0.5.4) hands out
32,767.

Of an episode of T steps a dataset has the observations 0 to T, and the actions, rewards, terminations and truncations
of its steps 1 to T (docs/export.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - Minari does not ask for it before it writes
import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from runbus.config.errors import InvalidValue
from runbus.export.descriptions import Description
from runbus.export.errors import CannotExport
from runbus.export.layouts import OneLayout
from runbus.export.sizes import held_bytes
from runbus.export.spaces import space_of
from runbus.kafka.model import StreamId
from runbus.reader.values import Column
from runbus.replay import Episode, StepRows
from runbus.schemas.layout import VARIABLE, Layout

#: What is held before it is written: opening the file costs about as much as an episode.
GROUP_EPISODES = 256
GROUP_BYTES = 32 * 1024 * 1024

_INSTEAD = "--format parquet has them"
_APART = "export them apart (--agent, --from, --to), or with --format parquet --values raw"
_ID = re.compile(r"[-\w]+-v\d+")
_LABEL = "label."

NO_STEP = "have no step behind their reset"
GAPS = "have no reset or miss steps: Minari's next observation would be a wrong one"
ABSENT = "have a step without an action or observation"


class MinariEpisodes:
    """Writes one dataset; see api.EpisodeWriter.

    Args:
        path: folder of the dataset; its name is the dataset's id, and its data is in `data`, as Minari has it.
        descriptions: what the streams of the run said of themselves.

    Raises:
        CannotExport: the folder's name is no id of a dataset.
    """

    def __init__(self, path: Path, descriptions: list[Description]) -> None:
        if not _ID.fullmatch(path.name):
            raise CannotExport(
                f"{path.name!r} is no id of a Minari dataset: give --output a name of letters, digits, - and _ that "
                "ends with a version, such as cartpole-v0"
            )
        self._path = path
        self._descriptions = {one.stream: one for one in descriptions}
        self._layout = OneLayout(_APART)
        self._described: tuple[str, str] | None = None
        self._storage: MinariStorage | None = None
        self._held: list[EpisodeBuffer] = []
        self._facts: list[dict[str, Any]] = []
        self._held_bytes = 0
        self._cut = self._repeated = 0

    def write(self, episode: Episode) -> str:
        """Take an episode."""
        rows = episode.rows
        if reason := _refusal(rows):
            return reason
        self._layout.take(episode)
        self._open(episode)
        self._held.append(self._buffer(episode))
        self._facts.append(_facts(episode))
        self._held_bytes += held_bytes(rows)
        if len(self._held) >= GROUP_EPISODES or self._held_bytes >= GROUP_BYTES:
            self._flush()
        return ""

    def close(self, description: Mapping[str, Any]) -> list[str]:
        """Write the rest and the description."""
        assert self._storage is not None
        self._flush()
        self._storage.update_metadata({"runbus": dict(description)})
        notes = [
            (self._cut, "episodes have no end: their last step is truncated in the dataset"),
            (self._repeated, "numbers are left out: of several of one name in one step the dataset has the last"),
        ]
        return [f"{count:,} {text}" for count, text in notes if count]

    def abandon(self) -> None:
        """Let go of nothing: the file is open only while episodes are written."""

    def _open(self, episode: Episode) -> None:
        """Make the dataset, at the first episode: its spaces are those of the values."""
        described = self._spaces_of(episode.stream)
        if self._storage is not None:
            assert self._described is not None
            if any(one != other and one and other for one, other in zip(described, self._described, strict=True)):
                raise CannotExport(f"agents of the run have different spaces: {_APART}")
            return
        self._described = described
        made = []
        for what, text, layout in zip(("actions", "observations"), described, self._layout.found, strict=True):
            try:
                made.append(space_of(text, layout))
                _check_keys(made[-1])
            except InvalidValue as error:
                raise CannotExport(f"Minari cannot hold the {what}: {error}; {_INSTEAD}") from error
        (self._path / "data").mkdir(parents=True)
        self._storage = MinariStorage.new(
            self._path / "data",
            observation_space=made[1],
            action_space=made[0],
            data_format="hdf5",
            jpeg_encoding=False,
        )
        self._storage.update_metadata({"dataset_id": self._path.name, "minari_version": minari.__version__})

    def _spaces_of(self, stream: StreamId) -> tuple[str, str]:
        found = self._descriptions.get(stream)
        return (found.action_space, found.observation_space) if found else ("", "")

    def _buffer(self, episode: Episode) -> EpisodeBuffer:
        rows, (action, observation) = episode.rows, episode.rows.layouts
        steps = rows.take(slice(1, None))
        truncated = steps.truncated.copy()
        if not (steps.terminated[-1] or truncated[-1]):
            truncated[-1] = True
            self._cut += 1
        self._repeated += sum(max(0, len(numbers) - 1) for named in rows.several.values() for numbers in named)
        return EpisodeBuffer(
            seed=_seed(rows.texts.get("seed", [""])[0]),
            observations=_given(observation, rows.observation),
            actions=_given(action, steps.action),
            rewards=steps.reward,
            terminations=steps.terminated,
            truncations=truncated,
            infos=_infos(rows),
        )

    def _flush(self) -> None:
        """Write what is held."""
        assert self._storage is not None
        first = self._storage.total_episodes
        try:
            self._storage.update_episodes(self._held)
            self._storage.update_episode_metadata(self._facts, range(first, first + len(self._held)))
        except (ValueError, TypeError, KeyError) as error:  # what HDF5 has no form for: NUL in text, arrays of nothing
            raise CannotExport(f"Minari's HDF5 cannot hold these values ({error}): {_INSTEAD}") from error
        self._held, self._facts, self._held_bytes = [], [], 0


def _check_keys(space: spaces.Space[Any]) -> None:
    """Raise InvalidValue if HDF5 would take a key of a Dict for a path."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            if not key or "/" in key or key in (".", ".."):
                raise InvalidValue(f"the key {key!r} is a path in HDF5")
            _check_keys(part)
    elif isinstance(space, spaces.Tuple):
        for part in space.spaces:
            _check_keys(part)


def _refusal(rows: StepRows) -> str:
    """Return why an episode cannot be in a dataset, or ""."""
    if rows.step[0] != 0 or (np.diff(rows.step) != 1).any():
        return GAPS
    if len(rows) == 1:
        return NO_STEP
    action, observation = rows.layouts
    lacking = (action.recorded and not rows.has_action[1:].all()) or (
        observation.recorded and not rows.has_observation.all()
    )
    return ABSENT if lacking else ""


def _seed(text: str) -> Any:  # noqa: ANN401 - Minari makes a number of either when it reads
    """Return a seed as HDF5 takes it: as text, if it is no number of 64 bits."""
    return None if not text else int(text) if -(2**63) <= int(text) < 2**64 else text


def _given(layout: Layout, column: Column) -> Any:  # noqa: ANN401 - what Minari takes: arrays, lists of text, nested
    """Return a column as Minari takes it: a struct of variable width comes as a value a row."""
    if layout.width != VARIABLE or isinstance(column, (dict, tuple, np.ndarray)):
        return column
    return _columns(list(column))


def _columns(values: list[Any]) -> Any:  # noqa: ANN401 - likewise
    first = values[0]
    if isinstance(first, dict):
        return {name: _columns([value[name] for value in values]) for name in first}
    if isinstance(first, tuple):
        return tuple(_columns([value[i] for value in values]) for i in range(len(first)))
    return values if isinstance(first, str) else np.stack(values)


def _infos(rows: StepRows) -> dict[str, Any]:
    """Return what else the rows 0 to T have, by name: HDF5 takes `/` in a name for a path."""
    infos: dict[str, Any] = {"ts": rows.ts, **rows.marks}
    infos |= {name: list(words) for name, words in rows.texts.items() if name != "seed" and not name.startswith(_LABEL)}
    if rows.logged:
        infos["logged"] = {
            name.replace("%", "%25").replace("/", "%2F"): numbers for name, numbers in rows.logged.items()
        }
    return infos


def _facts(episode: Episode) -> dict[str, Any]:
    """Return whose episode it is, for its metadata."""
    stream = episode.stream
    labels = {
        f"labels/{name.removeprefix(_LABEL)}": words[0]
        for name, words in episode.rows.texts.items()
        if name.startswith(_LABEL)
    }
    return {
        "run_id": stream.run_id,
        "agent_id": stream.agent_id,
        "attempt": stream.attempt,
        "env": episode.env,
        "episode": episode.episode,
        "first_seq": int(episode.rows.seq[0]),
        "complete": episode.complete,
        **labels,
    }
