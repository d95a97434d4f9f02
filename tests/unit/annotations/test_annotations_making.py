"""Annotations as people make them: where they are put, what they are called, and what is refused."""

import pytest

from runbus.annotations.making import new_annotation, new_note, removal
from runbus.annotations.place import Place
from runbus.config.errors import ConfigError
from runbus.schemas.annotations import annotation_key


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (Place("r"), "r//////"),
        (Place("r", agent="a"), "r/a/////"),
        (Place("r", agent="a", attempt=17), "r/a/17////"),
        (Place("r", agent="a", episode=0), "r/a//0/0//"),
        (Place("r", episode=3, env=2, step=0), "r///2/3/0/"),
    ],
)
def test_a_place_says_what_it_is_told(place: Place, key: str) -> None:
    """A number that is not said is no part of the key; the first environment is meant where an episode is said."""
    assert annotation_key(new_annotation(place, "pin", "", "me")).decode() == f"{key}pin/"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"run": "a/b"}, "run_id"),
        ({"run": ""}, "run_id"),
        ({"run": "r", "agent": "a/b"}, "agent_id"),
        ({"run": "r", "episode": -1}, "episode -1"),
        ({"run": "r", "episode": 0, "step": 2**31}, "step 2147483648"),
        ({"run": "r", "attempt": 1}, "an attempt is of an agent"),
        ({"run": "r", "step": 1}, "of an episode"),
        ({"run": "r", "env": 1}, "of an episode"),
    ],
)
def test_a_place_that_is_none_is_refused(said: dict[str, object], error: str) -> None:
    """With what to say instead."""
    with pytest.raises(ConfigError, match=error):
        Place(**said)  # type: ignore[arg-type]


def test_the_same_note_said_twice_is_one() -> None:
    """A note is called by its text, unless it is given a name: then another text replaces it."""
    place = Place("r")
    first, again, other = (new_note(place, text, "me") for text in ("it dips", "it dips", "it rises"))
    assert annotation_key(first) == annotation_key(again) != annotation_key(other)
    assert annotation_key(new_note(place, "a", "me", "x")) == annotation_key(new_note(place, "b", "you", "x"))
    assert annotation_key(removal(first)) == annotation_key(first)
    assert (removal(first).removed, removal(first).text) == (True, "")


@pytest.mark.parametrize(
    ("kind", "name", "text", "error"),
    [
        ("tag", "", "", "a tag has a name"),
        ("note", "", "", "a note has a name"),
        ("pin", "x", "", "a pin has no name"),
        ("tag", "a\nb", "", "control characters"),
        ("tag", "ä" * 128, "", "at most 255 bytes"),
        ("a/b", "x", "", "'/'"),
        ("", "x", "", "kind"),
        ("tag", "\ud800", "", "control characters"),
        ("view", "x", "\ud800", "cannot be kept"),
    ],
)
def test_what_cannot_be_kept_is_refused(kind: str, name: str, text: str, error: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError, match=error):
        new_annotation(Place("r"), kind, name, "me", text)


@pytest.mark.parametrize("text", ["", "  ", "x" * 65537, "ä" * 40000])
def test_a_note_has_a_text_of_a_bounded_size(text: str) -> None:
    """64 KiB of UTF-8."""
    with pytest.raises(ConfigError, match="at most 65536 bytes"):
        new_note(Place("r"), text, "me")
