"""A ClickHouse that refuses, hangs, lies and loses answers: nothing passes, and everything is stored once.

One sink runs through all of it. Each case lasts until the sink said why it does not move, while offsets and rows are
compared all the time; then it ends, and nobody lends a hand.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp.web import Response

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.sink import proxy
from tests.integration.sink.fault_setup import ANSWER_S, NO_ANSWER, SIZE, SinkFaultSetup, playing
from tests.integration.sink.proxy import TOKEN, Exchange, Fault, Proxy, by_partition, redirects, refuses, says, slow
from tests.integration.sink.sink_processes import PARTITIONS, Feed, Sinks, Tables, environment, make_batch, widened
from tests.integration.sink.watching import paused
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]

PAGE = "<html><body>Please sign in</body></html>"
NOBODY = "configuration: what answers at CLICKHOUSE_URL is not ClickHouse"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, and the pause that the sink must show for it."""

    fault: Fault
    pause: str = ""  # regular expression; empty = it need not pause


def _no_answer(fault: Fault) -> Trouble:
    return Trouble(fault, NO_ANSWER)


def _refused(kind: str, status: int, code: int, name: str) -> Trouble:
    return Trouble(refuses(status, code, name), rf"{kind}: Code: {code}\. .*\({name}\)")


TROUBLES: dict[str, Trouble] = {
    "hangs": _no_answer(proxy.hangs),
    "held back, and late": _no_answer(proxy.arrives_late),
    "cut before the engine has it": _no_answer(proxy.cuts_before),
    "an end within the head": Trouble(proxy.ends_in_the_head, "ambiguous: ClickHouse began to answer"),
    # ---
    "502": Trouble(says(502, "Bad Gateway"), "ambiguous: HTTP driver received HTTP status 502"),
    "503": Trouble(says(503, "Service Unavailable"), "capacity: HTTP driver received HTTP status 503"),
    "504": Trouble(says(504, "Gateway Time-out"), "ambiguous: HTTP driver received HTTP status 504"),
    "500": Trouble(says(500, "Internal Server Error"), "unknown: HTTP driver received HTTP status 500"),
    # ---
    "no table": _refused("configuration", 404, 60, "UNKNOWN_TABLE"),
    "no database": _refused("configuration", 404, 81, "UNKNOWN_DATABASE"),
    "wrong password": _refused("configuration", 403, 516, "AUTHENTICATION_FAILED"),
    "no password": _refused("configuration", 401, 194, "REQUIRED_PASSWORD"),
    # ---
    "no right": _refused("configuration", 403, 497, "ACCESS_DENIED"),
    "a user who only reads": _refused("configuration", 500, 164, "READONLY"),
    "413": Trouble(says(413, "Request Entity Too Large"), "configuration: HTTP driver received HTTP status 413"),
    "401": Trouble(says(401, PAGE), "configuration: HTTP driver received HTTP status 401"),
    # ---
    "no memory": _refused("capacity", 500, 241, "MEMORY_LIMIT_EXCEEDED"),
    "no space": _refused("capacity", 500, 243, "NOT_ENOUGH_SPACE"),
    "too many queries": _refused("capacity", 500, 202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    "too many parts": _refused("capacity", 500, 252, "TOO_MANY_PARTS"),
    # ---
    "a read-only replica": _refused("capacity", 500, 242, "TABLE_IS_READ_ONLY"),
    "quota": _refused("capacity", 500, 201, "QUOTA_EXCEEDED"),
    "a code that nobody knows": _refused("unknown", 500, 9999, "NEVER_HEARD_OF"),
    "twice": Trouble(proxy.arrives_twice),
    # ---
    "a page": Trouble(says(200, PAGE), NOBODY),
    "nothing, with status 200": Trouble(says(200), NOBODY),
}
ROUNDS = [list(TROUBLES)[i : i + PARTITIONS] for i in range(0, len(TROUBLES), PARTITIONS)]


@pytest.fixture(scope="module")
def between(migrated: ClickHouseSettings) -> Iterator[Proxy]:
    """Yield what stands between the sink and the engine."""
    with Proxy(migrated.url) as proxy:
        yield proxy
        assert all(len(bodies) == 1 for bodies in proxy.bodies.values()), "a token was sent with two bodies"


@pytest.fixture(scope="module")
def scene(
    kafka: str, migrated: ClickHouseSettings, between: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SinkFaultSetup]:
    """Yield one sink that runs through all of the troubles below."""
    behind = replace(migrated, url=between.url)
    with playing(kafka, migrated, tmp_path_factory.mktemp("sink"), behind) as scene:
        yield scene


@pytest.mark.parametrize("names", ROUNDS, ids=", ".join)
def test_nothing_passes_while_it_lasts_and_all_is_stored_once_behind_it(
    scene: SinkFaultSetup, between: Proxy, names: list[str]
) -> None:
    """Each partition has its own trouble and says so, its offset waits for its rows, and it goes on by itself."""
    troubles = [TROUBLES[name] for name in names]
    with scene.watch.looking():
        with between.misbehaving(inserts=by_partition(*(trouble.fault for trouble in troubles))):
            scene.feed_some()
            until("each partition met its own", lambda: between.hits >= PARTITIONS)
            scene.says_why(*(trouble.pause for trouble in troubles))
            until("somebody looked", lambda: scene.watch.looks > 0)
        scene.is_well()


@pytest.mark.parametrize("fault", [slow(ANSWER_S + 2), proxy.cuts_after], ids=["late answers", "lost answers"])
def test_inserts_that_are_carried_out_and_never_answered(scene: SinkFaultSetup, between: Proxy, fault: Fault) -> None:
    """No answer ever comes, and the rows are there: the sink counts them, and goes on while it lasts."""
    with scene.watch.looking():
        said = len(scene.sinks.log())
        with between.misbehaving(inserts=fault):
            scene.feed_some()
            until("it passed them", scene.group.is_past_all)
        topic = re.escape(f"{scene.feed.settings.topic_prefix}steps:")
        waited = re.findall(rf"sink\.paused partition={topic}(\d) reason={NO_ANSWER}", scene.sinks.log()[said:])
        assert set(waited) == {"0", "1", "2", "3"}
        scene.is_well()


def test_a_partition_in_trouble_does_not_hold_up_the_others(scene: SinkFaultSetup, between: Proxy) -> None:
    """One hangs, one is refused, and the other two store what comes, slowly."""
    mine = [f"agent-{partition}" for partition in (2, 3)]
    with scene.watch.looking():
        with between.misbehaving(inserts=by_partition(proxy.hangs, says(500), slow(0.5), slow(1))):
            scene.feed_some()
            query = "SELECT count() FROM steps WHERE run_id = {run:String} AND agent_id IN {mine:Array(String)}"
            produced = sum(scene.feed.produced[agent] for agent in mine)
            until("the others are stored", lambda: scene.tables.one(query, run=scene.feed.run, mine=mine) == produced)
            assert scene.tables.steps(scene.feed) < scene.feed.total
        scene.is_well()


def test_a_failure_within_a_large_body(scene: SinkFaultSetup, between: Proxy) -> None:
    """The proxy answers 500 and hangs up while most of 6 MB is not sent: for the sink a 500, or no answer."""
    with scene.watch.looking():
        with between.misbehaving(inserts=proxy.fails_in_the_body):
            for _ in range(2):
                first = scene.feed.produced.get("wide", 0)
                batch = widened(make_batch(scene.feed.run, "wide", first, SIZE), 1500)
                scene.feed.send("steps", b"key", scene.feed.value(batch), partition=0)
                scene.feed.produced["wide"] = first + SIZE
            scene.feed.flush()
            either = re.compile(f"unknown: HTTP driver received HTTP status 500|{NO_ANSWER}")
            scene.beats.until("either", lambda beat: any(map(either.match, paused(beat).values())))
        scene.is_well()


def test_a_port_that_refuses_connections(scene: SinkFaultSetup, between: Proxy) -> None:
    """Nothing listens: for reads and writes the same as no answer."""
    with scene.watch.looking():
        with between.closed():
            scene.feed_some()
            scene.says_why(*[NO_ANSWER] * PARTITIONS)
        scene.is_well()


def test_a_login_wall(scene: SinkFaultSetup, between: Proxy) -> None:
    """A redirect to a page that answers 200: the page is no acknowledgement."""
    with Proxy(between.target, reads=says(200, PAGE)) as wall, scene.watch.looking():
        with between.misbehaving(inserts=redirects(f"{wall.url}/login")):
            scene.feed_some()
            scene.says_why(*[NOBODY] * PARTITIONS)
        scene.is_well()


def test_an_answer_of_nobody_is_not_no_rows(scene: SinkFaultSetup, between: Proxy) -> None:
    """The engine has the rows, its answer is lost, and the count behind it is answered by something else.

    Were that believed, every row of the range would be stored a second time as a repair.
    """
    answers = itertools.cycle([says(200), says(200, PAGE), says(200, '{"data": [], "rows": 1}')])
    met: set[str] = set()

    async def cuts_the_first(exchange: Exchange) -> Response:
        token = exchange.request.query[TOKEN]
        if token in met:
            return await exchange.forward()
        met.add(token)
        return await proxy.cuts_after(exchange)

    async def nobody(exchange: Exchange) -> Response:
        return await next(answers)(exchange)

    with scene.watch.looking():
        with between.misbehaving(inserts=cuts_the_first, reads=nobody):
            scene.feed_some()
            scene.says_why(*[NOBODY] * PARTITIONS)
            until("each kind of answer was given", lambda: between.hits > 4 * PARTITIONS)
        scene.is_well()
    assert "sink.repair" not in scene.sinks.log()


@pytest.fixture
def starting(
    kafka_settings: KafkaSettings, migrated: ClickHouseSettings, between: Proxy, tmp_path: Path
) -> Iterator[Sinks]:
    """Yield a starter of sinks on topics of their own, behind the same proxy."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    sinks = Sinks(environment(kafka_settings, replace(migrated, url=between.url)), tmp_path)
    yield sinks
    sinks.kill_all()


def test_a_sink_does_not_start_in_front_of_something_else(starting: Sinks, between: Proxy) -> None:
    """An address where a page answers is wrong: one line says so, and the exit code is 1."""
    with between.misbehaving(reads=says(200, PAGE)):
        assert starting.start().wait(60) == 1
    assert "what answers at CLICKHOUSE_URL is not ClickHouse" in starting.log().splitlines()[-1]


def test_a_sink_that_starts_while_a_proxy_fails_waits(
    starting: Sinks, between: Proxy, kafka_settings: KafkaSettings, tables: Tables
) -> None:
    """A status 500 that no ClickHouse gave says nothing about the settings: it asks again until it is over."""
    feed = Feed(kafka_settings)
    feed.steps(2)
    feed.flush()
    with between.misbehaving(reads=says(500)):
        process = starting.start()
        starting.says("sink.waiting for ClickHouse")
        until("it asks again", lambda: between.hits > 2)
    tables.wait(feed)
    assert starting.stop(process) == 0
    tables.check(feed)
