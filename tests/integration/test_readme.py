"""The README's snippets and the examples, run as they stand against a real broker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbus.audit.log import LogReader
from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec

pytestmark = pytest.mark.integration

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = [f.read_text(encoding="utf-8") for f in sorted((README.parent / "examples").glob("*.py"))]
PYTHON = EXAMPLES + re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
RUN = re.compile(r'run="([\w-]+)"')
#: Those that record; what reads is in tests/integration/reader/test_reader_docs.py, stream apps are in their suites.
SNIPPETS = [code for code in PYTHON if RUN.search(code) and "runbus.reader" not in code]


@pytest.mark.parametrize("code", SNIPPETS, ids=[RUN.findall(code)[0] for code in SNIPPETS])
def test_each_snippet_records_its_run(code: str, kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """A snippet ends without a word, and all of its steps and its end are in the log."""
    apply_topics(kafka_settings, partitions=2)
    environ = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    streams = LogReader(kafka_settings, Codec(), "readme").streams({}).steps
    assert [*{run for run, _, _ in streams}] == RUN.findall(code)
    for logged in streams.values():
        assert logged.produced == logged.pending > 0
        assert logged.dropped == 0


def test_each_query_of_the_readme_runs(clickhouse_settings: ClickHouseSettings) -> None:
    """The SQL of the README fits the tables."""
    migrate(clickhouse_settings)
    found = re.findall(r'^runbus query "(.*)"$', README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) >= 3
    client = connect(clickhouse_settings)
    for sql in found:
        client.query(sql, settings={"readonly": 1})
    client.close()
