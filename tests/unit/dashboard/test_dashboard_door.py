"""How many connections are let in."""

from __future__ import annotations

from runbus.dashboard.security.door import Door


def test_one_address_cannot_fill_the_house() -> None:
    """It is refused at its own limit; others still come in, up to that of all."""
    door = Door(3, 2)
    assert [door.enter("a"), door.enter("a"), door.enter("a"), door.enter("b"), door.enter("c")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert (door.inside, door.refused) == (3, 2)
    door.leave("a")
    assert door.enter("c")
    assert not door.enter("a")
    for address in ("a", "b", "c"):
        door.leave(address)
    assert door.inside == 0
