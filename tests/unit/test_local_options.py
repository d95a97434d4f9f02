"""What a stack starts with: what is asked for, what it remembers, what is free."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbus.config.errors import RunBusError
from runbus.local.options import StackOptions, changes, chosen, refuse_changes
from runbus.local.ports import free_port, listen
from runbus.local.state import StackState

NEW = StackState("owner", "reader")


def test_what_was_asked_for_is_remembered() -> None:
    """A later start without options has the same ports and the registry; one that is asked for again moves it."""
    kafka, registry = free_port(), free_port()
    first = chosen(StackOptions(kafka_port=kafka, registry=True, registry_port=registry), NEW)
    assert (first.kafka_port, first.registry_port, first.registry) == (kafka, registry, True)
    assert first.fixed == ("kafka_port", "registry_port")
    assert first.clickhouse_port > 0
    assert chosen(StackOptions(), first) == first
    other = free_port()
    moved = chosen(StackOptions(kafka_port=other), first)
    assert moved == replace(first, kafka_port=other)
    assert changes(first, moved) == (f"Kafka is on port {other} from now on, it was on {kafka}",)
    assert chosen(StackOptions(kafka_port=0), first).fixed == ("registry_port",)


def test_a_port_that_was_asked_for_is_not_silently_another() -> None:
    """Taken meanwhile, it is an error that names the option; one that was chosen freely is replaced, and told."""
    with listen(free_port(), "--x") as server:
        server.listen()
        port = int(server.getsockname()[1])
        with pytest.raises(RunBusError, match=rf"port {port} is in use .* --kafka-port"):
            chosen(StackOptions(), replace(NEW, kafka_port=port, fixed=("kafka_port",)))
        before = replace(NEW, kafka_port=port)
        after = chosen(StackOptions(), before)
        assert after.kafka_port != port
        assert changes(before, after) == (f"Kafka is on port {after.kafka_port} from now on, it was on {port}",)


def test_a_registry_comes_and_stays() -> None:
    """A new one is told; the log needs it from then on, so leaving it out is an error."""
    before = chosen(StackOptions(), NEW)
    after = chosen(StackOptions(registry=True), before)
    assert changes(before, after) == ("the stack has a schema registry from now on",)
    assert changes(NEW, after) == ()
    with pytest.raises(RunBusError, match="needs it to be read: leave out --no-registry"):
        chosen(StackOptions(registry=False), after)
    assert chosen(StackOptions(registry=False), before).registry is False


def test_what_runs_is_not_changed() -> None:
    """Options that differ from what runs say what to do; those that agree, and 0, are no change."""
    running = replace(NEW, kafka_port=11, clickhouse_port=12, registry_port=13, dashboard_port=14)
    same = StackOptions(kafka_port=11, clickhouse_port=0, registry=False, registry_port=99)
    refuse_changes(same, running, registry=False)
    refuse_changes(StackOptions(), running, registry=True)
    for options, registry, text in (
        (StackOptions(kafka_port=1), False, "Kafka on port 11: run `runbus down` first to move it to 1"),
        (StackOptions(dashboard_port=1), False, "the page on port 14: run `runbus down` first to move it to 1"),
        (StackOptions(registry_port=1), True, "the registry on port 13: run `runbus down` first to move it to 1"),
        (StackOptions(registry=True), False, "runs without a schema registry: run `runbus down` first"),
        (StackOptions(registry=False), True, "needs it to be read: leave out --no-registry"),
    ):
        with pytest.raises(RunBusError, match=text):
            refuse_changes(options, running, registry=registry)
