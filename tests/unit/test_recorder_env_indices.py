"""Wrappers that share a recorder have env indices of their own."""

import pickle
import threading
from collections.abc import Callable
from functools import partial

from runbus.recorder import Recorder, RunBus
from runbus.recorder.env_indices import EnvIndices
from runbus.recorder.process import PROCESS
from runbus.recorder.recording import Recording


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


def in_turn(*calls: Callable[[], object]) -> None:
    """Make some calls."""
    for call in calls:
        call()


def test_giving_back_waits_for_nobody() -> None:
    """A wrapper may be collected as garbage in a thread that holds a stream, while another begins a stream."""
    recorder = Recorder("run-1", kafka=False)
    reservation, done = recorder.reserve_envs(), threading.Event()
    with PROCESS.lock:
        thread = threading.Thread(target=in_turn, args=(partial(recorder.give_back_envs, reservation), done.set))
        thread.start()
        assert done.wait(10)
    thread.join()
    assert recorder.reserve_envs().envs == range(1)


def test_a_stream_that_is_busy_does_not_hold_up_the_start_of_another() -> None:
    """Recorders of one name begin while a step of the first is under way."""
    bus = RunBus()
    first, second = (Recorder("run-1", bus=bus, kafka=False) for _ in range(2))
    first.reset(0.5)
    (recording,) = [member for member in PROCESS.members() if member.bus is bus]
    assert isinstance(recording, Recording)
    begun = threading.Event()
    with recording.stream.lock:
        thread = threading.Thread(target=in_turn, args=(partial(second.reset, 0.5), begun.set))
        thread.start()
        assert begun.wait(10)
    thread.join()
    first.close()
    second.close()
