"""Publishes events inside a process. A publisher waits for no reader, unless policy `block` asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError
from runbus.recorder.subscription import Item, Policy, QueueOptions, Subscription, SubscriptionStats


class RunBus:
    """Hands every event to every subscription. Thread safe. It does not look into events.

    Events of one publishing thread reach each subscription in order. In a forked child the bus starts without
    subscriptions: their readers stayed in the parent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._position = 0

    def subscribe(
        self,
        name: str,
        policy: Policy = "drop_oldest",
        max_events: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        key: Callable[[Any], Hashable] | None = None,
        on_drop: Callable[[Any], None] | None = None,
    ) -> Subscription:
        """Return a new subscription that gets what is published from now on; see QueueOptions for the arguments.

        Raises:
            ConfigError: the name is taken, or the options contradict each other.
        """
        options = QueueOptions(policy, max_events, max_bytes, key, on_drop)
        with self._lock:
            if any(s.name == name for s in self._subscriptions):
                raise ConfigError(f"a subscription named {name!r} exists on this bus: close it, or take another name")
            subscription = Subscription(name, options, self._leave)
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def publish(self, event: Any, *, events: int = 1, nbytes: int = 0) -> None:  # noqa: ANN401 - any event
        """Hand `event` to every subscription; it counts as `events` events of `nbytes` bytes (0 events = a marker)."""
        blocking: list[Subscription] = []
        losses: list[tuple[Subscription, tuple[Item, ...]]] = []
        with self._lock:
            item = Item(self._position, event, events, nbytes)
            self._position += 1
            for subscription in self._subscriptions:
                if subscription.options.policy == "block":
                    blocking.append(subscription)
                elif dropped := subscription.offer(item):
                    losses.append((subscription, dropped))
        for subscription, dropped in losses:
            subscription.tell(dropped)
        for subscription in blocking:  # outside of the lock: a subscription can be closed meanwhile
            subscription.tell(subscription.offer(item))

    def block_until(self, deadline: Deadline | None) -> None:
        """Bound how long policy `block` makes publishers wait, in every subscription: see Subscription."""
        for subscription in self._subscriptions:
            subscription.block_until(deadline)

    @property
    def position(self) -> int:
        """Number of events that were published."""
        return self._position

    def stats(self) -> dict[str, SubscriptionStats]:
        """Return the counters of every subscription, by name."""
        return {subscription.name: subscription.stats() for subscription in self._subscriptions}

    def after_fork(self) -> None:
        """Forget locks and subscriptions that belong to the parent process (called in the child)."""
        self._lock = threading.Lock()
        self._subscriptions = ()

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
