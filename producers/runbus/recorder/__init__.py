"""Exports `Recorder`, which writes what an agent does to the log, and `RunBus`, which carries it inside a process."""

from runbus.recorder.absent import ABSENT
from runbus.recorder.bus import RunBus
from runbus.recorder.commands import Command
from runbus.recorder.recorder import Recorder
from runbus.recorder.subscription import Policy, Subscription, SubscriptionStats

__all__ = ["ABSENT", "Command", "Policy", "Recorder", "RunBus", "Subscription", "SubscriptionStats"]
