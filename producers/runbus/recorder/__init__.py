"""Exports `Recorder`, which writes what an agent does to the log, `Metrics`, which writes what belongs to no step, and
`RunBus`, which carries both inside a process.
"""

from runbus.recorder.absent import ABSENT
from runbus.recorder.bus import RunBus
from runbus.recorder.commands import Command
from runbus.recorder.metrics import Metrics
from runbus.recorder.recorder import Recorder
from runbus.recorder.subscription import Policy, Subscription, SubscriptionStats

__all__ = ["ABSENT", "Command", "Metrics", "Policy", "Recorder", "RunBus", "Subscription", "SubscriptionStats"]
