"""Reads what a collector of TorchRL hands out, by the keys that its environments use; TorchRL is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: what is in `next` beside observations; `is_init` is InitTracker's
_FACTS = frozenset(["reward", "done", "terminated", "truncated", "is_init"])


class TensorDicts:
    """Knows, from one batch to the next, which trajectory each environment is in."""

    def __init__(self) -> None:
        self._trajectories: Any = None

    def rollout(self, batch: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a TensorDict of batch size (N, T) or (T,)
        """Return the parts of a batch as `Rollouts.record` names them, of shape (N, T, ...). Raises KeyError."""
        if len(batch.batch_size) == 1:
            batch = batch.unsqueeze(0)
        following = batch["next"]
        names = [name for name in following.keys() if name not in _FACTS and name in batch.keys()]  # noqa: SIM118
        reward = following["reward"]
        done, terminated = following["done"], following.get("terminated", None)
        truncated = following.get("truncated", None)
        if terminated is None:
            terminated = done if truncated is None else done & ~truncated
        if truncated is None:
            truncated = done & ~terminated
        return {
            "observations": _observations(batch, names),
            "actions": batch["action"],
            "rewards": reward,
            "terminated": terminated,
            "truncated": truncated,
            "last": None,
            "following": _observations(following, names),
            "final": None,
            "begins": self._begins(batch),
            "extras": None,
        }

    def _begins(self, batch: Any) -> Any:  # noqa: ANN401
        """Return where the collector began a trajectory, (N, T); None if nothing says so."""
        begins = batch.get("is_init", None)
        begins = None if begins is None else begins.reshape(batch.batch_size).clone()
        collected = batch.get("collector", None)
        trajectories = None if collected is None else collected.get("traj_ids", None)
        if trajectories is None:
            return begins
        other = trajectories != trajectories.roll(1, 1)
        before, self._trajectories = self._trajectories, trajectories[:, -1].clone()
        other[:, 0] = True if before is None else trajectories[:, 0] != before
        return other if begins is None else begins | other


def _observations(batch: Any, names: list[str]) -> Any:  # noqa: ANN401
    return batch[names[0]] if len(names) == 1 else {name: batch[name] for name in names}
