"""Makes the environment of a local stack's processes: only its runbus.toml says where they connect."""

from collections.abc import Mapping

from runbus.config.catalogue import (
    CONFIG_FILE_ENV,
    DASHBOARD_ADDRESS,
    PROBES_ADDRESS,
    SETTINGS,
    SINK_GROUP,
    SINK_INSTANCE_ID,
    STREAMS_INSTANCE_ID,
    WATCHDOG_WEBHOOK_URL,
)

_ADDRESS_SECTIONS = frozenset({"kafka", "registry", "clickhouse", "users"})
_ONE_PROCESS_ONLY = (
    SINK_GROUP,
    SINK_INSTANCE_ID,
    STREAMS_INSTANCE_ID,
    PROBES_ADDRESS,
    WATCHDOG_WEBHOOK_URL,
    DASHBOARD_ADDRESS,
)
_OF_THE_STACK = tuple(s.env for s in SETTINGS if s.section in _ADDRESS_SECTIONS or s in _ONE_PROCESS_ONLY)
_REMOVED = frozenset({CONFIG_FILE_ENV, *_OF_THE_STACK, *(f"{name}_FILE" for name in _OF_THE_STACK)})


def stack_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without what names another broker, registry, ClickHouse, file or group, or is for one process.

    Those variables beat the configuration file, and a user may have set them for another installation. Variables
    that tune (memory, batch sizes, time limits) stay.
    """
    return {name: value for name, value in environ.items() if name not in _REMOVED}
