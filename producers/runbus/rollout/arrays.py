"""What a rollout is: arrays (T, N, ...), or dicts and tuples of such, of T steps of N environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.reading import Reading

#: some environments: of arrays (N, ...) their rows
Picked = slice | NDArray[np.int64]


class Rollout(NamedTuple):
    """A rollout on the host; see `Rollouts.record` for what each part is.

    Attributes:
        observations, actions, following, final: values (T, N, ...).
        rewards: (T, N).
        terminated, truncated, begins: (T, N) of bool.
        last: values (N, ...).
        extras: numbers (T, N) by name.
    """

    observations: Any
    actions: Any
    rewards: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    following: Any
    last: Any
    final: Any
    begins: NDArray[np.bool_] | None
    extras: dict[str, NDArray[Any]]


def rollout_of(given: Mapping[str, Any], envs: int, time_axis: int) -> Rollout:
    """Return what `Rollouts.record` was given as arrays of numpy, the time first.

    Raises:
        InvalidValue: a part has another shape, is inside `jax.jit`, or nothing says what came after the last step.
    """
    reading = Reading()
    plain = {name: reading.plain(values) for name, values in given.items()}
    if reading.flaws:
        raise InvalidValue(reading.flaws[0])
    if plain["last"] is None and plain["following"] is None:
        raise InvalidValue(
            "nothing says what the environments showed behind the last step: give last= (N, ...), what the next action "
            "is chosen by, or next_observations= (T, N, ...)"
        )
    if time_axis:
        plain |= {name: mapped(_swapped, plain[name]) for name in plain if name not in ("last", "extras")}
        plain["extras"] = {name: _swapped(np.asarray(values)) for name, values in (plain["extras"] or {}).items()}
    rewards = _flat(plain["rewards"], "rewards")
    if rewards.ndim != 2 or rewards.shape[1] != envs:
        raise InvalidValue(f"rewards have shape {list(rewards.shape)}, must be [T, {envs}]")
    for name in ("observations", "actions", "following", "final"):
        mapped(_checked(name, rewards.shape), plain[name])
    mapped(_checked("last", rewards.shape[1:]), plain["last"])
    begins = plain["begins"]
    return Rollout(
        plain["observations"],
        plain["actions"],
        rewards,
        _flags(plain["terminated"], "terminated", rewards.shape),
        _flags(plain["truncated"], "truncated", rewards.shape),
        plain["following"],
        plain["last"],
        plain["final"],
        None if begins is None else _flags(begins, "begins", rewards.shape),
        {str(name): _numbers(values, name, rewards.shape) for name, values in (plain["extras"] or {}).items()},
    )


def mapped(change: Callable[[Any], Any], values: Any) -> Any:  # noqa: ANN401 - arrays, or dicts and tuples of them
    """Return the same dicts and tuples with every array changed; None stays None."""
    if isinstance(values, Mapping):
        return {key: mapped(change, part) for key, part in values.items()}
    if isinstance(values, tuple):
        return tuple(mapped(change, part) for part in values)
    return None if values is None else change(values)


def at(values: Any, step: int) -> Any:  # noqa: ANN401
    """Return the values (N, ...) of a step."""
    return values[step] if type(values) is np.ndarray else mapped(lambda array: array[step], values)


def picked_of(rollout: Rollout, envs: Picked) -> Rollout:
    """Return the rollout of some environments; no copy, if they follow one another."""

    def pick(values: Any) -> Any:  # noqa: ANN401 - values (T, N, ...)
        return mapped(lambda array: array[:, envs], values)

    parts = {name: pick(part) for name, part in rollout._asdict().items() if name != "last"}
    return Rollout(**parts, last=mapped(lambda array: array[envs], rollout.last))


def alike(one: Any, other: Any, count: int) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return of which of `count` environments two values (N, ...) are the same."""
    if isinstance(one, (Mapping, tuple)):
        keys = one if isinstance(one, Mapping) else range(len(one))
        parts = [alike(one[key], other[key], count) for key in keys]
        return np.asarray(np.stack(parts).all(axis=0)) if parts else np.ones(count, np.bool_)
    same: NDArray[np.bool_] = np.asarray(one == other).reshape(count, -1)
    return np.asarray(same.all(axis=1))


def _swapped(values: Any) -> Any:  # noqa: ANN401
    array = np.asarray(values)
    return array.swapaxes(0, 1) if array.ndim > 1 else array


def _flat(values: Any, name: str) -> NDArray[Any]:  # noqa: ANN401
    """Return an array (T, N), of one (T, N) or (T, N, 1)."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InvalidValue(f"{name} are of dtype {array.dtype}: numbers are needed")
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _numbers(values: Any, name: str, shape: tuple[int, ...]) -> NDArray[Any]:  # noqa: ANN401
    found = _flat(values, name)
    if found.shape != shape:
        raise InvalidValue(f"{name} has shape {list(found.shape)}, must be {list(shape)}")
    return found


def _flags(values: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:  # noqa: ANN401
    return _numbers(values, name, shape).astype(np.bool_)


def _checked(name: str, shape: tuple[int, ...]) -> Callable[[Any], None]:
    def check(values: Any) -> None:  # noqa: ANN401
        if not isinstance(values, np.ndarray) or values.shape[: len(shape)] != shape:
            found = list(values.shape) if isinstance(values, np.ndarray) else type(values).__name__
            raise InvalidValue(f"{name} has shape {found}, must begin with {list(shape)}")

    return check
