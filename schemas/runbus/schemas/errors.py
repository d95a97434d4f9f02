"""What can be wrong with a value of the log."""

from __future__ import annotations

from runbus.config.errors import RunBusError


class InvalidValue(RunBusError):
    """The bytes or columns contradict their schema: a data error, the same at every retry."""


class UnknownSchema(RunBusError):
    """A value names a schema that neither the package nor the registry knows."""


class RegistryMissing(RunBusError):
    """A value names a schema by a registry's id and no registry is set: a configuration error, not the value's."""


class RegistryUnavailable(RunBusError):
    """The schema registry did not answer; the same call can work later."""
