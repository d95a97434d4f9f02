"""Reads a dataset of Minari: its episodes, seeds and spaces, whatever wrote it.

Row 0 of an episode is its first observation, row t its action t and what that led to. What Minari calls `infos` is
there too; wall times and numbers that RunBus itself exported become those of the rows again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - Minari does not ask for it before it reads
import numpy as np
from minari import MinariDataset
from minari.dataset.episode_data import EpisodeData

from runbus.gymnasium import space_json
from runbus.ingest.acts import Act, Begin, Defaults, Started, Step, Who
from runbus.ingest.formats import CannotIngest
from runbus.ingest.values import id_of, whole

_LOGGED = "logged"


def minari_dataset(path: Path, defaults: Defaults) -> Iterator[Act]:
    """Yield the acts of a dataset. Raises CannotIngest."""
    folder = path if path.name == "data" else path / "data"
    try:
        dataset = MinariDataset(folder)
    except Exception as error:  # Minari has no class for what is no dataset
        raise CannotIngest(f"{path} is no folder of a Minari dataset: {error}") from error
    who = Who(defaults.run or id_of(dataset.id) or "minari", defaults.agent)
    metadata = {str(name): _plain(value) for name, value in dataset.storage.metadata.items()}
    yield Started(
        run=who.run,
        config={"minari": metadata},
        observation_space=space_json(dataset.observation_space),
        action_space=space_json(dataset.action_space),
        labels={"dataset_id": str(dataset.id)},
    )
    ours = "runbus" in metadata
    for number, episode in enumerate(dataset.iterate_episodes()):
        about = dataset.storage.get_episode_metadata([number])
        yield from _episode(who, episode, next(iter(about), {}), ours=ours)


def _episode(who: Who, episode: EpisodeData, about: Mapping[str, Any], *, ours: bool) -> Iterator[Act]:
    infos = dict(episode.infos or {})
    times = infos.pop("ts", None) if ours else None
    logged = infos.pop(_LOGGED, {}) if ours else {}
    seed = whole(_plain(about.get("seed")))
    yield Begin(
        who=who,
        observation=_row(episode.observations, 0),
        seed=seed,
        info=_info(infos, 0),
        labels={"id": int(episode.id)},
        logged=_numbers(logged, 0),
        at_us=_time(times, 0),
    )
    for t in range(len(episode.rewards)):
        yield Step(
            who=who,
            action=_row(episode.actions, t),
            reward=episode.rewards[t],
            terminated=bool(episode.terminations[t]),
            truncated=bool(episode.truncations[t]),
            observation=_row(episode.observations, t + 1),
            info=_info(infos, t + 1),
            logged=_numbers(logged, t + 1),
            at_us=_time(times, t + 1),
        )


def _row(values: Any, at: int) -> Any:  # noqa: ANN401 - arrays, dicts and tuples of them, lists of text
    if isinstance(values, Mapping):
        return {name: _row(part, at) for name, part in values.items()}
    if isinstance(values, tuple):
        return tuple(_row(part, at) for part in values)
    return values[at]


def _info(infos: Mapping[str, Any], at: int) -> dict[str, Any] | None:
    """Return what `infos` has in a row; a part that is shorter has nothing there."""
    found = {}
    for name, values in infos.items():
        part = _info(values, at) if isinstance(values, Mapping) else _plain(values[at]) if at < len(values) else None
        if part not in (None, ""):
            found[name] = part
    return found or None


def _numbers(logged: Mapping[str, Any], at: int) -> list[tuple[str, float]]:
    named = ((name.replace("%2F", "/").replace("%25", "%"), float(values[at])) for name, values in logged.items())
    return [(name, number) for name, number in named if not np.isnan(number)]


def _time(times: Any, at: int) -> int | None:  # noqa: ANN401 - an array of whole numbers, or None
    return None if times is None else int(times[at])


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever HDF5 has
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, str):
        return value
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value
