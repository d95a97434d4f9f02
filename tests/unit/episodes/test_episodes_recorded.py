"""Episodes of loops that forget their resets: what a recorder writes is finalised, and nothing of it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.recorder import Recorder, RunBus
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import decode, encode
from runbus.schemas.events import EpisodeFinalized
from tests.unit.episodes.history import EpisodesSetup

LENGTHS = [2, 1, 3]


def finalised(loop: Any) -> tuple[list[EpisodeFinalized], int]:
    """Return the events of what a loop records, and how many steps became dead letters."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run", "agent", bus=bus, kafka=False)
    loop(recorder)
    recorder.close()
    bench = EpisodesSetup()
    for published in subscription.get_many(100):
        if isinstance(published, StepsRecorded):
            bench.take(decode(encode(published.batch())))
    return bench.emitted, bench.refused_steps


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("begun", [False, True], ids=["no reset", "a first reset"])
def test_each_end_without_a_reset_behind_it_is_an_episode(vector: bool, begun: bool) -> None:
    """Three ends are three complete episodes with their own return and length."""

    def loop(recorder: Recorder) -> None:
        if begun:
            recorder.reset_vector(np.zeros(2)) if vector else recorder.reset(0.5)
        for length in LENGTHS:
            for step in range(1, length + 1):
                over = step == length
                if vector:
                    recorder.step_vector(np.zeros(2), np.ones(2), [over] * 2, [False] * 2, np.zeros(2))
                else:
                    recorder.step(0, 1.0, over, False, 0.5)

    events, refused = finalised(loop)
    assert refused == 0
    for env in range(2 if vector else 1):
        mine = [event for event in events if event.env == env]
        assert [(e.episode, e.length, e.return_, e.reason, e.complete) for e in mine] == [
            (number, length, float(length), "terminated", True) for number, length in enumerate(LENGTHS)
        ]
        assert [e.has_reset for e in mine] == [begun, False, False]
