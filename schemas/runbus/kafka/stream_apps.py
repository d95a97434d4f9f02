"""Says what a stream app is to the broker: its name, the topic of its results and the topic of its state."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.kafka.topics import EPISODES, EPISODES_STATE, LIVE_METRICS, LIVE_METRICS_STATE, Topic


@dataclass(frozen=True, slots=True)
class AppTopics:
    """One stream app.

    Attributes:
        name: the kind of its processes, and behind the topics' prefix its group.
        output: the topic of its results.
        state: the compacted topic of its state; it has as many partitions as `steps`.
        by_stream: each key of its state is a stream, `run_id/agent_id/attempt`, so a reset can keep some and compute
            others anew. Of other keys nobody but the core knows which records they come from.
    """

    name: str
    output: Topic
    state: Topic
    by_stream: bool = True


EPISODES_APP = AppTopics("episodes", EPISODES, EPISODES_STATE)
LIVE_METRICS_APP = AppTopics("live-metrics", LIVE_METRICS, LIVE_METRICS_STATE)
#: Those of RunBus itself; of an installation's users: user_apps.py.
OWN_APPS: tuple[AppTopics, ...] = (EPISODES_APP, LIVE_METRICS_APP)
