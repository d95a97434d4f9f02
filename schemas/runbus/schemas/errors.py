"""What can be wrong with a value of the log."""

from __future__ import annotations

from runbus.config.errors import RunBusError

#: A reason is a header of a dead letter and a log line; what it quotes may be megabytes of anything.
MAX_REASON = 1_000


class InvalidValue(RunBusError):
    """The bytes or columns contradict their schema: a data error, the same at every retry."""

    def __init__(self, reason: str) -> None:
        """Take the reason, cut to MAX_REASON characters."""
        super().__init__(reason if len(reason) <= MAX_REASON else f"{reason[: MAX_REASON - 3]}...")


class UnknownSchema(RunBusError):
    """A value names a schema that neither the package nor the registry knows."""


class RegistryMissing(RunBusError):
    """A value names a schema by a registry's id and no registry is set: a configuration error, not the value's."""


class RegistryUnavailable(RunBusError):
    """The schema registry did not answer; the same call can work later."""
