"""Reads the named queries: one .sql file each, with ClickHouse's own {parameter:Type} placeholders."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal, get_args

QueryName = Literal[
    "agent_progress",
    "audit_metrics",
    "audit_streams",
    "command_answers",
    "command_takers",
    "dead_letter_heads",
    "dead_letter_origins",
    "dead_letter_value",
    "dead_letters",
    "dead_letters_of",
    "dead_offsets",
    "export_streams",
    "finalised_episodes",
    "lost_offsets",
    "missing_ranges",
    "mosaic_episode_steps",
    "mosaic_episodes",
    "mosaic_recent_steps",
    "mosaic_run_summary",
    "newest_seq",
    "offsets_from",
    "replay_actions",
    "replay_blocks",
    "replay_fixed_rows",
    "replay_layouts",
    "replay_marks",
    "replay_observations",
    "replay_rows",
    "replay_streams",
    "replay_words",
    "rows_before",
    "rows_elsewhere",
    "rows_of_offsets",
    "rows_per_offset",
    "run_list",
    "run_show",
    "seqs_per_offset",
]

NAMES: tuple[QueryName, ...] = get_args(QueryName)


@cache
def query(name: QueryName) -> str:
    """Return the SQL of a named query, for `client.query(query(name), parameters={...})`."""
    return (resources.files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
