"""The recorder's settings: read once, and a bad value is named with a good one."""

import pytest

from runbus.config.errors import ConfigError
from runbus.config.sources import Sources
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.settings import CourierSettings


def test_defaults_and_environment() -> None:
    """Without variables the documented defaults hold; each variable changes its own setting."""
    default = CourierSettings.load(Sources())
    assert (default.queue_bytes, default.buffer_bytes, default.policy) == (64 * 2**20, 32 * 2**20, "drop_oldest")
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": "broker:1",
        "RUNBUS_RECORDER_QUEUE_MB": "7",
        "RUNBUS_RECORDER_BUFFER_MB": "3",
        "RUNBUS_RECORDER_POLICY": "block",
        "RUNBUS_RECORDER_COMPRESSION": "zstd",
        "RUNBUS_RECORDER_FLUSH_SECONDS": "0.5",
    }
    found = CourierSettings.load(Sources(environ=environ))
    assert found == CourierSettings(KafkaSettings("broker:1"), 7 * 2**20, 3 * 2**20, "block", "zstd", 0.5)
    given = KafkaSettings("other:2")
    assert CourierSettings.load(Sources(environ=environ), given).kafka is given


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RUNBUS_RECORDER_QUEUE_MB", "0", "from 1 to 1000000 MiB"),
        ("RUNBUS_RECORDER_QUEUE_MB", "64MB", "integer from 1 to 1000000 MiB"),
        ("RUNBUS_RECORDER_BUFFER_MB", "-1", "from 1 to 1000000 MiB"),
        ("RUNBUS_RECORDER_POLICY", "conflate", "drop_oldest, drop_newest, block"),
        ("RUNBUS_RECORDER_COMPRESSION", "gzip", "lz4, zstd, none"),
        ("RUNBUS_RECORDER_FLUSH_SECONDS", "soon", "0 to 3600"),
        ("RUNBUS_RECORDER_FLUSH_SECONDS", "nan", "0 to 3600"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str, words: str) -> None:
    """The error names the variable, the value and what would do."""
    with pytest.raises(ConfigError, match=words) as caught:
        CourierSettings.load(Sources(environ={variable: value}))
    assert variable in str(caught.value)
    assert repr(value) in str(caught.value)
