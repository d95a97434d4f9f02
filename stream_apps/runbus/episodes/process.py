"""The app `episodes` as a process: all wiring is here."""

from __future__ import annotations

from runbus.config import catalogue as c
from runbus.config.sources import Sources
from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import Policy
from runbus.schemas.registry import codec
from runbus.streams.api import StreamApp
from runbus.streams.engine import StreamEngine
from runbus.streams.settings import StreamSettings
from runbus.streams.shell import run as run_engine

#: An episode is visible this long after its last step was read; each commit costs the broker some milliseconds.
COMMIT_S = 0.2


def run(sources: Sources) -> None:
    """Finalise episodes until SIGTERM or SIGINT.

    Raises:
        RunBusError: one sentence for the person who has to act (settings, topics).
    """
    settings, policy, values = StreamSettings.load(sources), load_policy(sources), codec(sources)
    app = StreamApp("episodes", lambda _source: EpisodesCore(policy), "transaction", COMMIT_S)
    run_engine(lambda: StreamEngine(app, settings, values))


def load_policy(sources: Sources) -> Policy:
    """Read and check the RUNBUS_EPISODES_* settings. Raises ConfigError naming the variable and the bad value."""
    return Policy(
        idle_ms=int(sources.number(c.EPISODES_IDLE_SECONDS, 0.1, 31_536_000) * 1000),
        grace_ms=int(sources.number(c.EPISODES_GRACE_SECONDS, 0, 86_400) * 1000),
        remember_ms=int(sources.number(c.EPISODES_REMEMBER_HOURS, 0.001, 8_760) * 3_600_000),
    )
