"""Reads exported files back, with the library of their format, in the form of the environments' ledgers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from minari import EpisodeData, MinariDataset

Ledgers = list[list[dict[str, Any]]]


def by_env(found: Iterable[tuple[int, dict[str, Any]]], envs: int) -> Ledgers:
    """Return episodes in the form of the ledgers: those of each env, in order."""
    sorted_: Ledgers = [[] for _ in range(envs)]
    for env, episode in found:
        sorted_[env].append(episode)
    return sorted_


def values(column: pa.ChunkedArray, layout: dict[str, Any]) -> list[Any]:
    """Return the values of a column, by the layout that the file names; None where it is null."""
    whole = column.combine_chunks()
    dtype = layout["dtype"]
    node = json.loads(dtype.removeprefix("struct:")) if dtype.startswith("struct:") else [dtype, layout["shape"]]
    there = whole.is_valid().to_pylist()
    return [value if valid else None for value, valid in zip(_values(whole, node), there, strict=True)]


def _values(array: pa.Array, node: list[Any]) -> list[Any]:
    kind, content = node
    if kind == "dict":
        parts = {key: _values(array.field(key), part) for key, part in content}
        return [{key: part[row] for key, part in parts.items()} for row in range(len(array))]
    if kind == "tuple":
        return list(zip(*(_values(array.field(str(i)), part) for i, part in enumerate(content)), strict=True))
    if kind in ("text", "json"):
        return [json.loads(text) if text is not None and kind == "json" else text for text in array.to_pylist()]
    if content[:1] == [-1]:
        return [None if v is None else np.array(v, kind).reshape(-1, *content[1:]) for v in array.to_pylist()]
    there = array.drop_null()
    numbers = there.flatten() if content else there
    flat = numbers.to_numpy(zero_copy_only=False)
    assert flat.dtype == np.dtype(kind) or not flat.size
    found = iter(flat.astype(kind).reshape(len(there), *content))
    return [next(found) if valid else None for valid in array.is_valid().to_pylist()]


def parquet_ledger(table: pa.Table, about: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the episodes of a file, in the form of the ledgers, with their env."""
    facts = table.drop_columns(["action", "observation"]).to_pylist()
    actions = values(table["action"], about["values"]["action"])
    seen = values(table["observation"], about["values"]["observation"])
    found: list[tuple[int, dict[str, Any]]] = []
    for fact, action, observation in zip(facts, actions, seen, strict=True):
        if fact["step"] == 0:
            assert action is None
            seed = None if fact["seed"] is None else int(fact["seed"])
            found.append((fact["env"], {"seed": seed, "first": observation, "steps": []}))
        else:
            over = (fact["terminated"], fact["truncated"])
            found[-1][1]["steps"].append((action, fact["reward"], *over, observation))
            assert fact["step"] == len(found[-1][1]["steps"])
    return found


def minari_ledger(dataset: MinariDataset) -> list[tuple[int, dict[str, Any]]]:
    """Return the episodes of a dataset, in the form of the ledgers, with their env."""
    facts = dataset.storage.get_episode_metadata(dataset.episode_indices)
    return [(int(fact["env"]), _ledger(episode, fact)) for episode, fact in zip(dataset, facts, strict=True)]


def _ledger(episode: EpisodeData, fact: dict[str, Any]) -> dict[str, Any]:
    seen, actions = ([_at(values, t) for t in range(n)] for values, n in _lengths(episode))
    over = zip(episode.terminations.tolist(), episode.truncations.tolist(), strict=True)
    steps = [
        (action, reward, *flags, after)
        for action, reward, flags, after in zip(actions, episode.rewards.tolist(), over, seen[1:], strict=True)
    ]
    return {"seed": fact.get("seed"), "first": seen[0], "steps": steps}


def _lengths(episode: EpisodeData) -> list[tuple[Any, int]]:
    return [(episode.observations, len(episode) + 1), (episode.actions, len(episode))]


def _at(values: Any, row: int) -> Any:
    """Return one value of what may be nested."""
    if isinstance(values, dict):
        return {key: _at(part, row) for key, part in values.items()}
    return tuple(_at(part, row) for part in values) if isinstance(values, tuple) else values[row]


def with_ends(ledgers: list[list[dict[str, Any]]]) -> tuple[list[list[dict[str, Any]]], int]:
    """Return ledgers as a dataset has them: without episodes of no step, and each truncated that has no end."""
    cut = 0
    expected = [
        [{**episode, "steps": list(episode["steps"])} for episode in ledger if episode["steps"]] for ledger in ledgers
    ]
    for episode in (episode for ledger in expected for episode in ledger):
        action, reward, terminated, truncated, seen = episode["steps"][-1]
        if not (terminated or truncated):
            episode["steps"][-1] = (action, reward, terminated, True, seen)
            cut += 1
    return expected, cut
