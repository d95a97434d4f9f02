"""Wrappers that share a recorder have env indices of their own."""

import pickle

from runbus.recorder import Recorder
from runbus.recorder.env_indices import EnvIndices


def test_the_lowest_free_indices_are_given() -> None:
    """In order, consecutive, and again once they were given back; giving back twice changes nothing."""
    indices = EnvIndices()
    first, second = (indices.reserve(1, lambda _env: False) for _ in range(2))
    block = indices.reserve(3, lambda _env: False)
    assert (first.envs, second.envs, block.envs) == (range(1), range(1, 2), range(2, 5))
    indices.give_back(first)
    again = indices.reserve(1, lambda env: env == 0)  # its rows are those of the wrapper before
    indices.give_back(first)
    assert again.envs == range(1)
    assert indices.reserve(2, lambda _env: False).envs == range(5, 7)


def test_what_the_loop_uses_itself_is_left_alone() -> None:
    """Rows of an index that was never reserved are the loop's own."""
    recorder = Recorder("run-1", kafka=False)
    recorder.reset(0.5)
    recorder.reset(0.5, env=2)
    assert recorder.reserve_envs().envs == range(1, 2)
    assert recorder.reserve_envs(2).envs == range(3, 5)
    recorder.close()


def test_a_copy_knows_what_is_reserved() -> None:
    """A recorder that travels to a worker with its wrappers gives their indices to nobody else."""
    recorder = Recorder("run-1", kafka=False)
    recorder.reserve_envs()
    assert pickle.loads(pickle.dumps(recorder)).reserve_envs().envs == range(1, 2)
