"""The hub and its frames: whoever connects when, sees what the server has, with each row once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.live.frames import Frames
from runbus.dashboard.live.hub import Channel, Hub

BOOT = "0a1b2c3d"


@dataclass
class Server:
    """A hub with rows that are numbers."""

    rows: dict[str, int] = field(default_factory=dict)
    below: tuple[int, dict[str, int]] = (0, {})
    hub: Hub = field(default_factory=Hub)

    def __post_init__(self) -> None:
        self.made = 0
        self.frames = Frames(self.hub, self._row, lambda: self.below, BOOT)

    def _row(self, _channel: str, key: str) -> int | None:
        self.made += 1
        return self.rows.get(key)

    def set(self, key: str, value: int) -> None:
        """A row is new, or another one."""
        self.rows[key] = value
        self.hub.touch("runs", key)

    def drop(self, key: str) -> None:
        """A row is gone."""
        if self.rows.pop(key, None) is not None:
            self.hub.drop("runs", key)


@dataclass
class Client:
    """A page that takes what it gets, and comes back with the id of the last frame that it has."""

    rows: dict[str, int] = field(default_factory=dict)
    id: str = ""
    skipped: int = 0

    def take(self, frame: bytes) -> dict[str, Any]:
        """Take a frame; return its JSON."""
        if not frame:
            return {}
        lines = dict(line.split(": ", 1) for line in frame.decode().strip().split("\r\n"))
        self.id, body = lines["id"], json.loads(lines["data"])
        if body.get("whole"):
            self.rows.clear()
        for key, row in body["up"].get("runs", {}).items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.skipped += body.get("skip", 0)
        found: dict[str, Any] = body
        return found


def look(server: Server, client: Client, skipped: int = 0) -> bytes:
    """Hand a client what it does not have."""
    frame = server.frames.frame(("runs",), server.frames.parse(client.id), server.frames.tick(), skipped)
    client.take(frame)
    return frame


KEYS = st.sampled_from("abcde")
CHANGES = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 9)),
    st.tuples(st.just("drop"), KEYS, st.just(0)),
    st.tuples(st.just("look"), st.sampled_from("01"), st.just(0)),
    st.tuples(st.just("lose"), st.sampled_from("01"), st.just(0)),
)


@given(st.lists(CHANGES, max_size=80))
def test_each_client_ends_with_what_the_server_has_whatever_it_missed(story: list[tuple[str, str, int]]) -> None:
    """Slow, late and cut-off clients converge; a frame that was lost is asked for again by the last id."""
    server, clients = Server(), {"0": Client(), "1": Client()}
    for what, which, value in story:
        match what:
            case "set":
                server.set(which, value)
            case "drop":
                server.drop(which)
            case "look":
                look(server, clients[which])
            case "lose":  # sent, and never arrived
                server.frames.frame(("runs",), server.frames.parse(clients[which].id), server.frames.tick())
    for client in clients.values():
        look(server, client)
        assert client.rows == server.rows


def test_a_row_that_leaves_memory_is_not_taken_from_those_who_have_it() -> None:
    """It is stored by then. Who did not get it before is sent everything anew, and asks history again."""
    server, there, away = Server(), Client(), Client()
    server.set("a", 1)
    look(server, there)
    look(server, away)
    server.set("b", 2)
    look(server, there)
    del server.rows["b"]
    server.hub.channel("runs").forget("b")
    look(server, there)
    assert there.rows == {"a": 1, "b": 2}
    assert away.take(server.frames.frame(("runs",), server.frames.parse(away.id), server.frames.tick()))["whole"]


def test_clients_that_are_equally_far_share_one_frame_and_each_row_is_made_once() -> None:
    """A hundred pages cost one encoding."""
    server = Server()
    clients = [Client() for _ in range(100)]
    for key in "abc":
        server.set(key, 1)
    frames = {look(server, client) for client in clients}
    assert len(frames) == 1
    assert server.frames.encoded == 1
    assert server.made == 3
    server.set("a", 2)
    for client in clients:
        look(server, client)
    assert (server.frames.encoded, server.made) == (2, 4)


def test_a_slow_client_gets_one_difference_and_hears_what_it_missed() -> None:
    """What changed five times is sent once, as it is now."""
    server, client = Server(), Client()
    server.set("a", 0)
    look(server, client)
    for value in range(1, 6):
        server.set("a", value)
    frame = look(server, client, skipped=4)
    assert client.rows == {"a": 5}
    assert frame.count(b'"a"') == 1
    assert client.skipped == 4


def test_the_id_of_another_boot_or_of_nonsense_means_everything() -> None:
    """Revisions of a dashboard that was killed mean nothing to the next one."""
    server = Server()
    server.set("a", 1)
    for since in ("", "ffffffff.9", "9", f"{BOOT}.-1", f"{BOOT}.x", f"{BOOT}.", "\N{ARABIC-INDIC DIGIT ONE}"):
        assert server.frames.parse(since) == 0
    assert server.frames.parse(f"{BOOT}.7") == 7


def test_the_positions_of_history_travel_when_they_move_and_in_every_snapshot() -> None:
    """A page has to know what history has, and not four times a second."""
    server, client = Server(), Client()
    server.below = (1, {"steps:0": 5})
    server.set("a", 1)
    assert client.take(look(server, client))["below"] == {"steps:0": 5}
    server.set("a", 2)
    assert "below" not in client.take(look(server, client))
    server.below = (2, {"steps:0": 9})
    assert client.take(look(server, client))["below"] == {"steps:0": 9}
    assert look(server, client) == b""


def test_a_channel_remembers_a_bounded_number_of_keys_that_went() -> None:
    """Who comes back from before that gets everything."""
    channel = Channel()
    for number in range(10_000):
        channel.touch(str(number), 2 * number + 1)
        channel.drop(str(number), 2 * number + 2)
    assert len(channel.gone(0, 20_000)) <= 4096
    assert channel.floor > 0
