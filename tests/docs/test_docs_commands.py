"""Every command, option, variable, topic, table and view is in the docs, as the code has it."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from runbus.cli.document import command_paths, commands_reference
from runbus.clickhouse.users import USER_ROLES
from runbus.config.catalogue import SETTINGS
from runbus.config.document import renewed
from runbus.kafka.topics import TOPICS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _documented() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_the_commands_page_is_made_from_the_commands() -> None:
    """docs/commands.md says what `--help` says."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert renewed(page, "commands", commands_reference()) == page, (
        "run: python -m runbus.cli.document docs/commands.md"
    )


@pytest.mark.parametrize(
    "command",
    [
        "demo", "up", "down", "status", "doctor", "topics apply", "topics list", "topics acls", "migrate", "sink",
        "stream-app",
        "run ls", "run show", "audit", "dlq list", "dlq show", "dlq retry", "cursors list", "cursors show",
        "cursors reset", "query", "config show", "tail", "replay", "rebuild clickhouse", "rebuild episodes",
        "rebuild live-metrics",
        "schema check", "schema push", "annotate note", "annotate tag", "annotate pin", "annotate rm", "annotate ls",
    ],
)  # fmt: skip
def test_the_commands_of_the_contract_exist(command: str) -> None:
    """Scripts rely on these names."""
    assert f"runbus {command}" in command_paths()


def test_every_variable_that_the_code_reads_is_documented() -> None:
    """No setting is a secret: each RUNBUS_*, KAFKA_* and CLICKHOUSE_* name of the sources stands in a page."""
    read = {setting.env for setting in SETTINGS}
    for folder in ("producers", "stream_apps", "schemas"):
        for source in (ROOT / folder).rglob("*.py"):
            read |= set(re.findall(r'"(RUNBUS_[A-Z_]+[A-Z])"', source.read_text(encoding="utf-8")))
    internal = {"RUNBUS_PARENT_PID"}  # between a launcher and its child
    assert not {name for name in read - internal if name not in _documented()}


def test_every_topic_table_and_view_is_documented() -> None:
    """What people query and consume has a page."""
    folder = resources.files("runbus.clickhouse") / "migrations"
    sql = "\n".join(f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".sql"))
    made = set(re.findall(r"CREATE (?:TABLE|VIEW) IF NOT EXISTS (\w+)", sql)) | {t.name for t in TOPICS}
    assert len(made) > 15
    assert not {name for name in made if name not in _documented()}


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "SECURITY"))],
    ids=lambda p: p.name,
)
def test_every_link_and_file_that_a_page_names_is_there(page: Path) -> None:
    """A page never sends its reader to a file that does not exist."""
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    files = re.findall(
        r"`((?:docs|tests|benchmarks|examples|deploy|schemas|producers|stream_apps)/[\w./-]+\.\w+)`", text
    )
    assert not [link for link in links if not (page.parent / link).exists()]
    assert not [name for name in files if not (ROOT / name).exists()]


def test_every_role_of_clickhouse_is_documented() -> None:
    """Who may do what has a row, under the name that the default database gives."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert not [role for role in USER_ROLES if f"| `runbus_{role}` |" not in page]
    assert "| `runbus_team_NAME` |" in page
