"""Says what the arguments of a vector call mean: whose rows they are, and which of them begin or end an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.env_positions import Envs, Flags
from runbus.recorder.row_words import labels_of
from runbus.recorder.text import json_text

MAX_ENV = 2**31
NO_ROWS = np.empty(0, np.intp)

EnvNumbers = Sequence[int] | NDArray[np.integer[Any]]
#: labels of every episode that a call begins, or a mapping a row
ResetLabels = Mapping[str, object] | Sequence[Mapping[str, object] | None]
Infos = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class VectorStep(NamedTuple):
    """The arguments of `Recorder.step_vector`: row i of each is `envs[i]`, or env i."""

    actions: Any
    rewards: ArrayLike
    terminated: ArrayLike
    truncated: ArrayLike
    observations: Any
    resets: ArrayLike | None = None
    tick: int | None = None
    infos: Infos | None = None
    envs: EnvNumbers | None = None
    extras: Mapping[str, ArrayLike] | None = None


class VectorReset(NamedTuple):
    """The arguments of `Recorder.reset_vector`: row i of each is `envs[i]`, or env i."""

    observations: Any
    seeds: Sequence[int | None] | None = None
    mask: ArrayLike | None = None
    tick: int | None = None
    infos: Infos | None = None
    envs: EnvNumbers | None = None
    labels: ResetLabels | None = None


class CallRows:
    """Who the rows of a step call are, and which of them begin or end an episode.

    Attributes:
        envs: of each row.
        size: how many.
        over, cut: the flags terminated and truncated, a byte a row.
        ends: rows that end an episode; None = none.
        resets: rows that are a reset and nothing else; None = none.
        both: indices of rows that end an episode and show the reset of the next one.
    """

    ends: Flags | None = None
    resets: Flags | None = None
    both = NO_ROWS

    def __init__(self, envs: Envs, size: int, over: bytes, cut: bytes) -> None:
        self.envs = envs
        self.size = size
        self.over = over
        self.cut = cut


def rows_of_step(call: VectorStep, terminated: Flags, truncated: Flags) -> CallRows:
    """Return the rows of a call with these flags, (n,). Raises InvalidValue if its resets or envs are not as many."""
    count = len(terminated)
    over, cut, none = terminated.tobytes(), truncated.tobytes(), _no_flags(count)
    rows = CallRows(slice(0, count) if call.envs is None else envs_of(call.envs, count), count, over, cut)
    if over != none or cut != none:
        rows.ends = terminated | truncated
    if call.resets is None:
        return rows
    given = flags(call.resets, count, "resets")
    if given != none:
        rows.resets = np.frombuffer(given, bool)
        if rows.ends is not None:
            rows.both = np.flatnonzero(rows.resets & rows.ends)
            alone = rows.resets & ~rows.ends
            rows.resets = alone if alone.any() else None
    return rows


@lru_cache(maxsize=64)
def _no_flags(count: int) -> bytes:
    return bytes(count)


def picked_rows(column: bytes, rows: NDArray[np.intp], count: int) -> bytes:
    """Return some of the `count` values of a column, each of the same width; nothing of a column without values."""
    return np.frombuffer(column, np.uint8).reshape(count, -1)[rows].tobytes() if column else b""


def picked_envs(envs: Envs, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the envs of some rows, by index."""
    return rows + envs.start if isinstance(envs, slice) else envs[rows]


def env_numbers(envs: Envs) -> list[int]:
    """Return the env of each row."""
    return list(range(envs.start, envs.stop)) if isinstance(envs, slice) else envs.tolist()


def like(value: Any, example: Any) -> Any:  # noqa: ANN401
    """Return one environment's own observation as its vector environment shows it: same keys, dtypes; or None."""
    try:
        return None if value is None else _fit(value, example)
    except Exception:  # noqa: BLE001 - what does not fit is not the observation that was meant
        return None


def _fit(value: Any, example: Any) -> Any:  # noqa: ANN401
    if isinstance(example, Mapping):
        return {key: _fit(value[key], part) for key, part in example.items()}
    if isinstance(example, tuple):
        return tuple(_fit(part, shown) for part, shown in zip(value, example, strict=True))
    if not isinstance(example, (np.ndarray, np.generic)):
        return value
    found = np.asarray(value)
    if found.shape != example.shape:
        raise InvalidValue(f"a last observation has shape {list(found.shape)}, the others {list(example.shape)}")
    return found.astype(example.dtype, casting="same_kind", copy=False)


def info_texts(infos: Mapping[int, Mapping[str, Any]]) -> tuple[dict[int, str], dict[int, str]]:
    """Return the JSON text of each info that has something in it, by row, and why some of them have none."""
    texts: dict[int, str] = {}
    flaws: dict[int, str] = {}
    for row, info in infos.items():
        try:
            if info:
                texts[row] = json_text(info)
        except Exception as error:  # noqa: BLE001 - the objects in it are the user's
            flaws[row] = str(error)
    return texts, flaws


def number_columns(
    extras: Mapping[str, ArrayLike], count: int
) -> tuple[dict[str, NDArray[np.float64]], dict[int, str]]:
    """Return copies of the named arrays, and why some of them were left out, in all rows."""
    found: dict[str, NDArray[np.float64]] = {}
    flaws: dict[int, str] = {}
    for name, values in extras.items():
        try:
            numbers = np.array(values, np.float64)
            if numbers.shape != (count,):
                raise InvalidValue(f"shape {list(numbers.shape)}, must be [{count}]")
            found[str(name)] = numbers
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            flaws = dict.fromkeys(range(count), f"extras[{name!r}]: {error}")
    return found, flaws


def envs_of(envs: EnvNumbers | None, count: int) -> Envs:
    """Return the env of each row. Raises InvalidValue unless they are `count` different indices."""
    if envs is None:
        return slice(0, count)
    if isinstance(envs, range) and envs.step == 1 and envs.start >= 0:
        found: Envs = slice(envs.start, envs.stop)
        size = len(envs)
    else:
        given = np.asarray(envs)
        size = len(given) if given.ndim == 1 and given.dtype.kind in "iu" else -1
        found = given.astype(np.int64) if size > 0 else np.empty(0, np.int64)
        if size > 0 and (found.min() < 0 or found.max() >= MAX_ENV or len(np.unique(found)) < size):
            size = -1
    if size != count:
        raise InvalidValue(f"envs must be {count} different indices, each from 0 to {MAX_ENV - 1}")
    return found


def flags(values: ArrayLike, count: int, name: str) -> bytes:
    """Return the flags of `count` rows, a byte each. Raises InvalidValue for another number of them."""
    found = np.asarray(values, bool)
    if found.shape != (count,):
        raise InvalidValue(f"{name} has shape {list(found.shape)}, must be [{count}]")
    return found.tobytes()


def labels_of_rows(labels: Any, chosen: NDArray[np.int64]) -> tuple[dict[int, Mapping[str, str]], dict[int, str]]:  # noqa: ANN401
    """Return the labels of the episodes that a call begins, by index among the chosen rows, and what is left out."""
    found: dict[int, Mapping[str, str]] = {}
    flaws: dict[int, str] = {}
    for index, row in enumerate(chosen.tolist()) if labels is not None else ():
        try:
            given = labels if isinstance(labels, Mapping) else labels[row]
        except Exception as error:  # noqa: BLE001 - whatever the caller gave
            flaws[index] = str(error)
            continue
        if texts := labels_of(given, lambda _part, why, at=index: flaws.update({at: why})):  # type: ignore[misc]
            found[index] = texts
    return found, flaws
