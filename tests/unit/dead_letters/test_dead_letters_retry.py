"""A retry, killed at every moment, met by others, lied to and refused, on tables in memory: always once."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, DataError
from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.sink.dead_letters.eligibility import LetterOrigin
from runbus.sink.dead_letters.retry import store_again, token
from runbus.sink.memory import LocalSchemas, Script, no_faults
from runbus.sink.records import read
from tests.unit.dead_letters.retry_setup import AT, EXACT, RUNS, STEPS, RetrySetup, Stopping, value
from tests.unit.sink.sink_setup import Crash


class Learning:
    """A registry that knows StepBatch as 7 from some moment on."""

    def __init__(self) -> None:
        self.knows = False

    def id_of(self, topic: str, schema: AvroSchema) -> int:
        """Return 7."""
        return {("steps", "StepBatch"): 7}[topic, schema.name]

    def schema(self, schema_id: int) -> AvroSchema:
        """Return StepBatch, once it is known."""
        if not self.knows:
            raise UnknownSchema(f"schema id {schema_id} is not known")
        return schema("StepBatch")


def crash_at(moment_number: int) -> Script:
    """Die at the n-th moment, before or after an effect."""
    left = moment_number

    def script(operation: str, moment: str) -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1

    return script


def test_a_record_is_stored_once_and_at_its_place() -> None:
    """The first retry stores it under the first name; the second sees that it is there."""
    setup = RetrySetup()
    assert setup.retry()
    assert not setup.retry()
    assert setup.stored() == EXACT
    assert setup.tokens() == ["id-1:3:7#retry-1"] == [token(AT.source, 7, 1)]


def test_an_event_is_stored_too() -> None:
    """A topic with one event a record is repaired like the steps."""
    event = RunEvent(run_id="r", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1)
    record = read(9, b"r/a/1", Codec().frame("runs", schema("RunEvent"), event.encode()), 0, batched=False)
    setup, at = RetrySetup(), LetterOrigin("runs", "id-2", 0, 9)
    for _ in range(2):
        asyncio.run(store_again(setup.context(), RUNS, at.source, record))
    assert setup.store.rows_kept == {("runs", "id-2", 0, 9, 0): 1}


@pytest.mark.parametrize(
    "content",
    [None, b"", b"hello", b"\xc3\x01" + b"?" * 8 + b"x", b"\x00\x00\x00\x00\x09x", value()[:-3], value() + b"x"],
    ids=["null", "empty", "unframed", "unknown", "no registry", "truncated", "trailing"],
)
def test_what_cannot_be_read_stays_dead(content: bytes | None) -> None:
    """Nothing is asked of the store for a value that its schema, as it is known now, does not explain."""
    setup = RetrySetup(content)
    setup.schemas = LocalSchemas(Codec(Learning()))
    setup.store.script = crash_at(0)
    with pytest.raises((InvalidValue, UnknownSchema)):
        setup.retry()


def test_a_schema_that_was_learned_makes_the_difference() -> None:
    """Before, the record stays dead; afterwards it is stored, once however often that is asked for."""
    registry = Learning()
    setup = RetrySetup(value(Codec(registry)))
    setup.schemas = LocalSchemas(Codec(registry))
    with pytest.raises(UnknownSchema, match="schema id 7"):
        setup.retry()
    registry.knows = True
    assert [setup.retry() for _ in range(3)] == [True, False, False]
    assert setup.stored() == EXACT


def test_another_record_than_the_topic_has_stays_dead() -> None:
    """A RunEvent among the steps is readable, and no step."""
    event = RunEvent(run_id="r", agent_id="a", attempt=1, kind="STARTED", sent_at=1, started_at=1)
    with pytest.raises(InvalidValue, match="a RunEvent where a StepBatch is expected"):
        RetrySetup(Codec().frame("steps", schema("RunEvent"), event.encode())).retry()


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("lose", [0, 1, 2])
def test_a_death_at_any_moment_loses_and_doubles_nothing(torn: bool, lose: int) -> None:
    """Two retries die at every pair of moments; with `torn` the server dies too, and keeps tokens without rows."""
    moments = 5 + 3 * lose
    for first in range(moments):
        for second in range(moments):
            setup = RetrySetup()
            setup.store.torn, setup.store.lose = torn, lose
            for moment in (first, second):
                setup.store.script = crash_at(moment)
                with contextlib.suppress(Crash):
                    setup.retry()
            setup.store.script = no_faults
            setup.retry()
            assert setup.stored() == EXACT, f"{first=} {second=}"


def test_a_store_that_acknowledges_and_has_nothing_gets_the_next_name() -> None:
    """Names are used in order, one for each time that the rows were not there."""
    setup = RetrySetup()
    setup.store.lose = 3
    assert setup.retry()
    assert setup.stored() == EXACT
    assert setup.tokens() == [f"id-1:3:7#retry-{number}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("lose", [0, 1, 2])
def test_two_at_once_use_the_same_names(lose: int) -> None:
    """One is stopped before or behind each of its calls while another runs through: one of the two stores it."""
    for moment in range(14):
        setup = RetrySetup()
        setup.store.lose = lose
        asyncio.run(_one_stops(setup, moment))
        assert setup.stored() == EXACT, f"{moment=}"


async def _one_stops(setup: RetrySetup, moment: int) -> None:
    store = Stopping(setup.store, moment)
    stopped = asyncio.create_task(store_again(setup.context(store), STEPS, AT.source, setup.record))
    await asyncio.wait([stopped, asyncio.create_task(store.reached.wait())], return_when=asyncio.FIRST_COMPLETED)
    await store_again(setup.context(), STEPS, AT.source, setup.record)
    store.awake.set()
    await stopped
    store.reached.set()


@pytest.mark.parametrize("lose", [0, 1, 5])
def test_many_in_step_store_it_once(lose: int) -> None:
    """Five go side by side, call by call."""
    setup = RetrySetup()
    setup.store.lose = lose

    async def scene() -> None:
        await asyncio.gather(*(store_again(setup.context(), STEPS, AT.source, setup.record) for _ in range(5)))

    asyncio.run(scene())
    assert setup.stored() == EXACT


def _lose_the_first_month(setup: RetrySetup) -> None:
    for row in [row for row in setup.store.rows_kept if row[4] < 3]:
        del setup.store.rows_kept[row]


def test_of_a_record_that_is_there_in_part_only_the_rest_is_stored() -> None:
    """A record in two parts of the table can lose one of them alone."""
    setup = RetrySetup()
    setup.retry()
    _lose_the_first_month(setup)
    assert setup.stored() == dict.fromkeys((3, 4, 5), 1)
    assert setup.retry()
    assert setup.stored() == EXACT
    assert setup.tokens() == ["id-1:3:7#retry-1", "id-1:3:7#retry-2"]


def test_one_that_saw_nothing_and_one_that_saw_a_part_do_not_double_it() -> None:
    """A retry is stopped with the whole record in its hands; meanwhile a part is there, and another stores the rest."""
    for moment in range(3):
        setup = RetrySetup()

        async def scene(setup: RetrySetup = setup, moment: int = moment) -> None:
            store = Stopping(setup.store, moment)
            stopped = asyncio.create_task(store_again(setup.context(store), STEPS, AT.source, setup.record))
            await store.reached.wait()
            await store_again(setup.context(), STEPS, AT.source, setup.record)
            _lose_the_first_month(setup)
            await store_again(setup.context(), STEPS, AT.source, setup.record)
            store.awake.set()
            await stopped

        asyncio.run(scene())
        assert setup.stored() == EXACT


@pytest.mark.parametrize("error", [Ambiguous, Capacity])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_store_that_fails_gets_the_same_name_until_it_answers(error: type[Ambiguous], moment: str) -> None:
    """No answer, or "not now": wait and say the same."""
    setup, failures = RetrySetup(), 3

    def script(operation: str, when: str) -> None:
        nonlocal failures
        if operation.startswith("insert") and when == moment and failures:
            failures -= 1
            raise error("no", 1)

    setup.store.script = script
    setup.retry()
    assert setup.stored() == EXACT
    assert setup.tokens() == ["id-1:3:7#retry-1"]
    assert setup.clock.seconds > 0


@pytest.mark.parametrize("error", [Ambiguous, Capacity])
def test_a_command_does_not_wait_for_ever(error: type[Ambiguous]) -> None:
    """Past its patience it says what the store said; the next one goes on where it stopped."""
    setup = RetrySetup()

    def script(operation: str, when: str) -> None:
        if operation.startswith("insert") and when == "after":
            raise error("still not", 1)

    setup.store.script = script
    with pytest.raises(error, match="still not"):
        setup.retry()
    assert 50 <= setup.clock.seconds <= 60.1
    setup.store.script = no_faults
    assert not setup.retry()
    assert setup.stored() == EXACT


@pytest.mark.parametrize("error", [Configuration, DataError])
def test_what_waiting_does_not_mend_is_said_at_once(error: type[Configuration]) -> None:
    """A missing table, or a store that refuses the record, ends the retry."""
    setup = RetrySetup()

    def script(operation: str, when: str) -> None:
        if operation.startswith("insert"):
            raise error("never", 60)

    setup.store.script = script
    with pytest.raises(error):
        setup.retry()
    assert setup.clock.seconds == 0


def test_a_store_that_never_keeps_anything_is_given_up() -> None:
    """Each lost insert takes its time; the patience bounds how many there are."""
    setup = RetrySetup()
    setup.store.lose = 10**9
    setup.store.script = _each_takes(setup, 1.0)
    with pytest.raises(Exception, match="no time was left"):
        setup.retry()
    assert len(setup.tokens()) <= 60


def _each_takes(setup: RetrySetup, seconds: float) -> Callable[[str, str], None]:
    def script(operation: str, when: str) -> None:
        if when == "before":
            setup.clock.seconds += seconds

    return script


def test_one_that_was_stopped_for_too_long_does_not_act_on_what_it_saw() -> None:
    """The store may have forgotten the token by then, so nothing is sent any more."""
    setup = RetrySetup()

    def script(operation: str, when: str) -> None:
        if operation == "rows":
            setup.clock.seconds += 3600.0

    setup.store.script = script
    with pytest.raises(Exception, match="no time was left"):
        setup.retry()
    assert setup.stored() == {}
