"""examples/traced_agents.py: what its agents saw themselves is what SQL says, episode by episode."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sink.conftest import feed, migrated, sinks, tables
from tests.integration.sink.sink_processes import Feed, Sinks, Tables
from tests.support.scripts import user_scripts
from tests.support.waiting import until

pytestmark = pytest.mark.integration
__all__ = ["feed", "migrated", "sinks", "tables"]

EXAMPLE = Path(__file__).parents[3] / "examples" / "traced_agents.py"
ROWS = """
    SELECT agent_id, env, episode, kind, status, action_text AS action, observation_text AS observation,
        terminated, truncated, extras['llm.output_tokens'] AS tokens
    FROM steps WHERE run_id = 'traced-agents' ORDER BY agent_id, env, episode, step
"""


def test_the_agents_of_the_example_are_in_the_tables_as_they_were(
    feed: Feed, sinks: Sinks, tables: Tables, tmp_path: Path
) -> None:
    """Two agents, six questions in four threads, one tool that fails."""
    file = tmp_path / "ledger.json"
    sinks.start()
    with user_scripts() as run_script:
        process: subprocess.Popen[str] = run_script(feed.settings, EXAMPLE.read_text(encoding="utf-8"), str(file))
        said = process.communicate(timeout=60)
        assert (process.returncode, *said) == (0, "", "")
    ledger = json.loads(file.read_text(encoding="utf-8"))
    until("all is stored", lambda: len(tables.client.query(ROWS).result_rows) == 6 * 5)
    episodes: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in tables.client.query(ROWS).named_results():
        episodes.setdefault((row["agent_id"], row["env"], row["episode"]), []).append(row)
    found = [{"agent": key[0], **as_ledger(rows)} for key, rows in episodes.items()]
    assert sorted(found, key=_question) == sorted(ledger, key=_question)


def as_ledger(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the rows of an episode say, in the words of the example."""
    reset, first, tool, last, end = rows
    assert [(row["terminated"], row["truncated"]) for row in rows] == [(False, False)] * 4 + [(True, False)]
    assert (end["kind"], [row["observation"] for row in (first, last)]) == ("env", ["", ""])
    (question,) = json.loads(reset["observation"])
    said = [
        [row["kind"], json.loads(row["action"]).get("content", ""), int(row["tokens"]), row["status"]]
        for row in (first, last)
    ]
    city = json.loads(tool["action"])["arguments"]["city"]
    used = [tool["kind"], city, json.loads(tool["observation"]), tool["status"]]
    return {"asked": question["content"], "done": [said[0], used, said[1]]}


def _question(entry: dict[str, Any]) -> str:
    return str(entry["asked"])
