"""Whatever an agent, a tool or a model recorded: a terminal shows it and does not act on it; JSON is exact."""

from __future__ import annotations

import json
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.asked import Asked
from tests.integration.sink.sink_processes import Feed, environment, make_batch

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

#: A title, the bell, a colour, a forged line, a moved cursor, text from right to left, C1, zero width.
HOSTILE = "x\x1b]0;title\x07\x1b[31m\nforged\rover\u202eevil\x9b2J\u200b"
#: The worst that the log takes as an id: control characters are refused there.
HOSTILE_ID = "x\u202eevil\u200b"


@pytest.fixture
def asked(kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path) -> Asked:
    """Return the command over a log and tables in which every text is hostile."""
    apply_topics(kafka_settings, partitions=1)
    migrate(clickhouse_settings)
    feed = Feed(kafka_settings, run=HOSTILE_ID)
    feed.send("steps", b"key", feed.value(make_batch(HOSTILE_ID, HOSTILE_ID, 0, 4)))
    feed.flush()
    now = "2026-11-28 18:00:00"
    with closing(connect(clickhouse_settings)) as client:
        client.insert(
            "runs",
            [[HOSTILE, HOSTILE, 1, kind, HOSTILE, HOSTILE, HOSTILE, HOSTILE] for kind in ("STARTED", "FINISHED")],
            column_names=["run_id", "agent_id", "attempt", "kind", "error", "host", "config", "outcome"],
        )
        client.command(
            "INSERT INTO dead_letters (key, topic, partition, offset, component, run_id, error, value, headers, "
            "source_key, failed_at) SELECT {h:String}, {h:String}, 0, 7, {h:String}, {h:String}, {h:String}, {h:String}"
            f", map({{h:String}}, {{h:String}}), {{h:String}}, '{now}'",
            parameters={"h": HOSTILE},
        )
    return Asked(tmp_path, environment(kafka_settings, clickhouse_settings))


def _acted_on(text: str) -> list[str]:
    return [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("query", "SELECT run_id, agent_id, error, config FROM runs"), 0),
        (("run", "ls"), 0),
        (("run", "show", HOSTILE), 0),
        (("run", "show", f"no {HOSTILE}"), 1),
        (("dlq", "list"), 0),
        (("dlq", "show", HOSTILE), 0),
        (("dlq", "show", f"no {HOSTILE}"), 1),
        (("--log-level", "info", "dlq", "retry", HOSTILE), 1),
        (("audit",), 0),
        (("--topic-prefix", HOSTILE, "topics", "list"), 2),
        (("query", f"SELECT nosuch, '{HOSTILE}'"), 1),
    ],
)
def test_nothing_reaches_the_terminal(asked: Asked, arguments: tuple[str, ...], code: int) -> None:
    """Both outputs of each command that prints data are text and line ends, and no line is the data's."""
    done = asked.run(*arguments)
    shown = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == code, shown
    escaped = "x\\u202eevil\\u200b" if arguments == ("audit",) else "x\\x1b]0;title\\x07\\x1b[31m\\nforged\\rover\\"
    assert escaped in shown.replace("\n", "")
    assert not _acted_on(shown)
    assert not [line for line in shown.splitlines() if line.startswith("forged")]


def test_on_a_real_terminal(asked: Asked) -> None:
    """rich's own codes are all that reaches it."""
    shown = asked.on_a_terminal("run", "show", HOSTILE, columns=400)
    assert "\x07" not in shown
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown


def test_json_is_exact(asked: Asked) -> None:
    """Programs get the text as it was recorded."""
    for arguments, id_ in (
        (("run", "ls", "--json"), HOSTILE),
        (("dlq", "list", "--json"), HOSTILE),
        (("audit", "--json"), HOSTILE_ID),
    ):
        document = json.loads(asked.run(*arguments).stdout)
        rows = document["streams"] if isinstance(document, dict) else document
        assert [row["run_id"] for row in rows] == [id_]
