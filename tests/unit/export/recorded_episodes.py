"""Episodes as an export gets them, of what recorders published: no broker, no ClickHouse; and their ledgers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gymnasium.vector import AutoresetMode

from runbus.export.descriptions import Description
from runbus.gymnasium.spaces import space_json
from runbus.reader.events import At
from runbus.reader.steps import Steps
from runbus.recorder import Recorder, RunBus
from runbus.replay import Episode, StepRows
from runbus.replay.episodes import Assembler
from runbus.schemas.batch import StepBatch
from tests.support import autoreset_matrix as matrix
from tests.support.exported import Ledgers
from tests.support.recorded_rows import batches_of


def episodes_of(batches: Iterable[StepBatch]) -> list[Episode]:
    """Return the episodes of the batches of some streams, incomplete ones too."""
    assembler = Assembler()
    parts = [StepRows.of(Steps(At("steps", 0, 0, 0, b""), batch)) for batch in batches]
    return [ended.episode for ended in [*assembler.take(0, parts), *assembler.rest()]]


def recorded(play: Callable[[Recorder], Any], **options: Any) -> list[Episode]:
    """Return the episodes that a recorder was told of."""
    bus = RunBus()
    subscription = bus.subscribe("export", max_events=1_000_000, max_bytes=1_000_000_000)
    with Recorder("run-1", bus=bus, kafka=False, **{"observations": "all", **options}) as recorder:
        play(recorder)
    return episodes_of(batches_of(subscription.get_many(1_000_000)))


def played(space: str, mode: AutoresetMode, steps: int = 40) -> tuple[Ledgers, list[Episode]]:
    """Play vector environments; return the ledger of each, and the episodes that were recorded."""
    play = matrix.Play(mode, "sync", space, steps=steps)
    ledgers: Ledgers = []
    episodes = recorded(lambda recorder: ledgers.extend(matrix.played(play, recorder, 1)))
    return ledgers, episodes


def described(episodes: list[Episode], space: str = "") -> list[Description]:
    """Return what the streams said of their spaces."""
    texts = (space_json(matrix.SPACES[space]), space_json(matrix._ACTIONS)) if space else ("", "")
    streams = dict.fromkeys(episode.stream for episode in episodes)
    return [Description(stream, *texts, '{"lr":0.1}', {"task": "a"}, ["tag"], "completed", "1") for stream in streams]
