"""What the migrations become for a cluster."""

import re
from pathlib import Path

import pytest

from runbus.clickhouse.cluster import migrations, replicated
from runbus.clickhouse.migrate import FOLDER
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import ConfigError
from runbus.config.sources import Sources

FILES = sorted(FOLDER.glob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_statement_runs_on_the_cluster(file: Path) -> None:
    """Every CREATE names it, every table that keeps rows is replicated, and nothing else changes."""
    sql = file.read_text(encoding="utf-8")
    made = replicated(sql, "lab")
    assert made.count(" ON CLUSTER `lab`") == len(re.findall(r"^CREATE ", sql, re.MULTILINE)) > 0
    assert len(re.findall(r"ENGINE = Replicated\w*MergeTree", made)) == len(re.findall(r"ENGINE = \w*MergeTree", sql))
    assert made.replace(" ON CLUSTER `lab`", "").replace("ENGINE = Replicated", "ENGINE = ") == sql


def test_the_files_of_a_cluster_are_made_for_the_run_and_taken_away() -> None:
    """Without a cluster the files are the package's own."""
    with migrations(FOLDER, "") as folder:
        assert folder == FOLDER
    with migrations(FOLDER, "lab") as folder:
        assert [f.name for f in sorted(folder.glob("*.sql"))] == [f.name for f in FILES]
    assert not folder.exists()


def test_a_name_that_is_none_is_refused() -> None:
    """It becomes part of each statement."""
    sources = Sources(environ={"CLICKHOUSE_CLUSTER": "lab` SYNC"})
    with pytest.raises(ConfigError, match="CLICKHOUSE_CLUSTER"):
        ClickHouseSettings.load(sources)
