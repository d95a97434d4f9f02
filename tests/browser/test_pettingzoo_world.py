"""A world of PettingZoo, from its agents to the page: the episodes in ClickHouse are those of its own ledger."""

from __future__ import annotations

import random

from runbus.kafka.settings import KafkaSettings
from runbus.local.apps import sources
from runbus.local.stack import Endpoints
from runbus.pettingzoo import RecordParallel
from tests.browser.asked import rows
from tests.browser.conftest import Opener
from tests.browser.serving import Dashboard
from tests.support.ledger_worlds import AGENTS, ParallelWorld

RUN = "world-of-three"
ALL, TWO, ONE = frozenset(AGENTS), frozenset(AGENTS[:2]), frozenset(AGENTS[:1])
#: Somebody is away in the first episode, dies in the second, comes back in the third.
SCRIPT = [[TWO, TWO, TWO, frozenset()], [ALL, ALL, TWO, TWO, frozenset()], [ALL, ONE, ALL, frozenset()]]


def test_a_world_is_in_clickhouse_and_in_the_page_as_in_its_ledger(
    endpoints: Endpoints, dashboard: Dashboard, tab: Opener
) -> None:
    """Returns and lengths of every life, bit for bit; the agents of an episode of the world are together."""
    world, chance = ParallelWorld(SCRIPT), random.Random(1)
    env = RecordParallel(world, RUN, settings=KafkaSettings.load(sources(endpoints)))
    for script in SCRIPT:
        env.reset(seed=1)
        for _ in script[1:]:
            env.step({agent: chance.randrange(4) for agent in world.agents})
    env.close()
    assert env.world.flush(30)
    lives = {
        agent: [(sum(row[1] for row in life.rows), len(life.rows)) for life in world.ledger[agent]] for agent in AGENTS
    }
    visit = tab(dashboard, f"/world?run={RUN}&env=0&episode=1&tick=1")
    visit.expected.append("404")  # it is not stored yet
    visit.until(
        "all lives are finalised",
        lambda: (
            len(rows(endpoints, "SELECT 1 FROM episodes_latest WHERE run_id = {r:String}", r=RUN))
            == sum(map(len, lives.values()))
        ),
    )
    whose = "run_id = {r:String} AND agent_id = {a:String}"
    sql = f"SELECT `return`, length FROM episodes_latest WHERE {whose} ORDER BY episode"
    assert {agent: [tuple(row) for row in rows(endpoints, sql, r=RUN, a=agent)] for agent in AGENTS} == lives
    teams = rows(
        endpoints, "SELECT episode, agents FROM team_episodes WHERE run_id = {r:String} ORDER BY episode", r=RUN
    )
    assert [tuple(team) for team in teams] == [(0, 2), (1, 3), (2, 3), (3, 2)]  # two of the third came back within it
    visit.page.reload()
    for agent in AGENTS:
        visit.until_text(agent)
