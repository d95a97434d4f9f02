"""Names what can be wrong with a schema; a value that contradicts its schema is runbus.config.errors.InvalidValue."""

from __future__ import annotations

from runbus.config.errors import RunBusError


class UnknownSchema(RunBusError):
    """A value names a schema that neither the package nor the registry knows."""


class RegistryMissing(RunBusError):
    """A value names a schema by a registry's id and no registry is set: a configuration error, not the value's."""


class RegistryUnavailable(RunBusError):
    """The schema registry did not answer; the same call can work later."""
