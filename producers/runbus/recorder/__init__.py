"""The agent's side: `Recorder` writes what the agent does to the log, `RunBus` carries it inside the process."""

from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder
from runbus.recorder.subscription import Policy, Subscription, SubscriptionStats

__all__ = ["Policy", "Recorder", "RunBus", "Subscription", "SubscriptionStats"]
