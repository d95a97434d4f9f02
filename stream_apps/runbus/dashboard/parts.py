"""Holds what the routes of one dashboard share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runbus.dashboard.annotator import Annotator
from runbus.dashboard.history.api import History
from runbus.dashboard.live.api import LiveLog
from runbus.dashboard.settings import DashboardSettings


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routers of `api/` are made from.

    Attributes:
        settings: of the process.
        live: the log as it is now (live/api.py).
        history: what ClickHouse has (history/api.py).
        annotator: writes what people say (annotator.py).
        topic_ids: Kafka's own id of each topic, by full name.
    """

    settings: DashboardSettings
    live: LiveLog
    history: History
    annotator: Annotator
    topic_ids: Mapping[str, str] = field(default_factory=dict)
