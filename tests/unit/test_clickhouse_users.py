"""The statements that make roles and users: complete, quoted, and without a password in them."""

import re

import pytest

from runbus.clickhouse.tables import LOST_RANGES, STORED_TOPICS
from runbus.clickhouse.users import (
    USER_ROLES,
    _user_statements,
    parse_teams,
    quoted,
    role_statements,
    team_statements,
    user_passwords,
)
from runbus.config.errors import ConfigError
from runbus.config.secret import Secret
from runbus.config.sources import Sources

SECRET = "hunter2"


def granted(role: str) -> list[str]:
    """Return the grants of a role, each on one line."""
    found = [re.sub(r"\s+", " ", s) for s in role_statements("db") if s.startswith("GRANT") and f"`db_{role}`" in s]
    assert found
    return found


def test_the_writer_may_insert_where_the_sink_inserts_and_nowhere_else() -> None:
    """A new stored topic without its grant would stop a sink in production only."""
    inserts = {m[1] for s in granted("writer") if (m := re.match(r"GRANT INSERT ON `db`\.(\w+) ", s))}
    landings = {t.landing for t in STORED_TOPICS}
    assert inserts == landings | {LOST_RANGES}
    reads = {m[1] for s in granted("writer") if (m := re.match(r"GRANT SELECT\([\w, ]+\) ON `db`\.(\w+) ", s))}
    assert reads == {t.table for t in STORED_TOPICS}
    assert len(granted("writer")) == len(inserts) + len(reads)


def test_every_role_is_made_and_only_of_its_database() -> None:
    """All names carry the database, so two installations on one server do not meet."""
    statements = list(role_statements("db"))
    made = {m[1] for s in statements if (m := re.match(r"CREATE ROLE IF NOT EXISTS `db_(\w+)`", s))}
    assert made == set(USER_ROLES)
    assert not [s for s in statements if "{" in s or "--" in s]
    assert all(re.search(r"OR REPLACE|IF NOT EXISTS|^GRANT", s) for s in statements)


def test_a_team_sees_rows_by_its_prefix_on_every_table_of_runs() -> None:
    """A table that a team may read, without a policy, would show everything."""
    statements = list(team_statements("db", "vision", "vi'sion-"))
    policies = [s for s in statements if s.startswith("CREATE ROW POLICY")]
    tables = {m[1] for s in policies if (m := re.search(r"ON `db`\.(\w+)", s))}
    assert tables == {"steps", "runs", "episodes", "metrics", "annotations"}
    assert all(r"startsWith(run_id, 'vi\'sion-')" in s for s in policies)


def test_users_get_a_salted_hash_and_no_statement_has_the_password() -> None:
    """What is logged by the server is of no use; two users with one password do not look alike."""
    first, second = (list(_user_statements("db", "writer", Secret(SECRET))) for _ in range(2))
    assert first[0].startswith("CREATE USER IF NOT EXISTS `db-writer` IDENTIFIED WITH sha256_hash BY '")
    assert first[-1] == "ALTER USER `db-writer` DEFAULT ROLE `db_writer`"
    assert first != second
    assert SECRET not in "".join(first)


def test_passwords_that_are_not_set_make_no_user() -> None:
    """Only whom the installation wants."""
    found = user_passwords(Sources(environ={"RUNBUS_WRITER_PASSWORD": SECRET, "RUNBUS_READER_PASSWORD": ""}))
    assert list(found) == ["writer"]
    assert SECRET not in repr(found)


def test_teams_are_pairs() -> None:
    """A prefix may have anything in it but the separator."""
    assert parse_teams("vision=vision-; llm=l=m ;") == {"vision": "vision-", "llm": "l=m"}
    assert quoted("a'b\\c") == r"'a\'b\\c'"
    for wrong in ("vision", "vision=", "vi-sion=x", "=x"):
        with pytest.raises(ConfigError, match="RUNBUS_TEAMS"):
            parse_teams(wrong)
