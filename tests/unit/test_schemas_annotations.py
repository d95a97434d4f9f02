"""Keys of annotations: injective, and readable back where a tombstone leaves nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.annotations import annotation_key, removed_by
from runbus.schemas.events import Annotation

_ID = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), max_size=4)
_ANNOTATIONS = st.builds(
    Annotation,
    run_id=_ID,
    agent_id=_ID,
    attempt=st.sampled_from([0, 1, 2**62]),
    env=st.sampled_from([-1, 0, 7]),
    episode=st.sampled_from([-1, 0, 2**40]),
    step=st.sampled_from([-1, 0, 9]),
    kind=_ID.filter(bool),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    sent_at=st.just(5_000),
)


@given(_ANNOTATIONS)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_tombstone_says_what_it_removed(annotation: Annotation) -> None:
    """Everything but text and author can be read from the key, whatever stands in the name."""
    assert removed_by(annotation_key(annotation), 5) == replace(annotation, removed=True)


@pytest.mark.parametrize(
    "key", [None, b"", b"run", b"r//////tag", b"r/a/x////tag/t", b"r//////\x01/t", b"\xff//////tag/t", b"r///////t"]
)
def test_a_key_that_is_none_is_refused(key: bytes | None) -> None:
    """Too few parts, a number that is none, a kind that cannot be, bytes that are no text."""
    with pytest.raises(InvalidValue):
        removed_by(key, 5)


def test_an_annotation_of_no_run_may_be() -> None:
    """A saved view is of the installation; but a run, an agent and a kind are names where they are said."""
    Annotation(run_id="", kind="view", name="mine", sent_at=1).encode()
    for wrong in ({"run_id": "a/b"}, {"agent_id": "a\n"}, {"kind": ""}, {"kind": "a/b"}):
        with pytest.raises(InvalidValue):
            Annotation(**{"run_id": "r", "kind": "tag", "sent_at": 1, **wrong}).encode()  # type: ignore[arg-type]
