"""Rows of one layout are taken and joined as arrays, with their words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runbus.reader.steps import Steps
from runbus.replay.episodes import Assembler
from runbus.replay.rows import StepRows, common, joined
from runbus.schemas.layout import encode_value, pack
from tests.unit.batches import PAIR, make_batch
from tests.unit.replay.memory_store import NOWHERE, cut, identity, stream_rows, values_are_of, without_values


def test_every_kind_of_value_is_cut_and_joined() -> None:
    """Texts, pairs, logged numbers and labels are with their rows after any cut."""
    batch = make_batch(6)
    pairs = [encode_value(PAIR, (np.full(2, n, np.float32), "x" * n)) for n in range(6)]
    rows = StepRows.of(Steps(NOWHERE, replace(batch, observation=pack(PAIR, pairs))))
    again = joined(cut(rows, [1, 4]))
    assert identity(again) == identity(rows)
    assert list(again.action) == list(rows.action)
    assert [v[1] for v in again.observation] == ["x" * n for n in range(6)]
    assert np.array_equal(again.logged["loss"], rows.logged["loss"], equal_nan=True)
    assert np.isnan(rows.logged["loss"][1:]).all()
    assert rows.logged["loss"][0] == 0.5
    assert {name: list(words) for name, words in again.texts.items()} == {n: w for n, w in rows.texts.items() if any(w)}
    assert "info" in rows.texts
    backwards = rows.take(np.arange(6)[::-1])
    assert identity(backwards) == identity(rows)[::-1]
    assert backwards.texts["info"] == rows.texts["info"][::-1]


def test_streams_are_told_apart() -> None:
    """Joined rows name the stream of each."""
    one, other = stream_rows("a", [2]), stream_rows("b", [1])
    both = joined([one, other, one])
    assert [stream.agent_id for stream in both.streams] == ["a", "b"]
    assert identity(both) == identity(one) + identity(other) + identity(one)


def test_a_reset_that_was_sent_alone_fits_what_follows() -> None:
    """It has no value yet: the column gets a row of zeros, and says that it means nothing."""
    rows = stream_rows("a", [3])
    alone = without_values(rows.take(slice(0, 1)))
    assert common(alone.layouts, rows.layouts) == rows.layouts == common(rows.layouts, alone.layouts)
    both = joined([alone, rows.take(slice(1, None))])
    assert both.layouts == rows.layouts
    assert both.action.tolist() == [0, 1, 2, 3]
    assert both.has_observation.tolist() == [False, True, True, True]
    assert common(rows.layouts, stream_rows("a", [3], text=True).layouts) is None
    words = stream_rows("a", [3], text=True)
    texts = joined([without_values(words.take(slice(0, 1))), words.take(slice(1, None))])
    assert list(texts.observation) == ["", "seq 1", "seq 2", "seq 3"]


def test_an_episode_is_aligned() -> None:
    """T actions and rewards, T + 1 observations; a step that is missing makes it incomplete, and so does no reset."""
    rows = stream_rows("a", [3, 2, 2])
    (first, *_) = [ended.episode for ended in Assembler().take(0, [rows])]
    assert first.observations[:, 0].tolist() == [0, 1, 2, 3]
    assert first.actions.tolist() == first.rewards.tolist() == [1, 2, 3]
    assert (len(first), first.return_, first.env, first.episode, first.stream.agent_id) == (3, 6.0, 0, 0, "a")
    holes = joined([rows.take(slice(0, 2)), rows.take(slice(3, None))])
    assert [e.episode.complete for e in Assembler().take(0, [holes])] == [False, True]
    late = Assembler().take(0, [rows.take(slice(2, None))])
    assert [e.episode.complete for e in late] == [False, True]
    assert late[0].episode.actions.tolist() == [2, 3]


def test_an_episode_that_was_left_in_the_middle_ends_there() -> None:
    """The next episode of its env, or the end of the lane."""
    rows = stream_rows("a", [3, 2])
    open_ended = replace(rows, terminated=np.zeros(len(rows), np.bool_))
    assembler = Assembler()
    ended = assembler.take(0, [open_ended]) + assembler.rest()
    assert [(len(e.episode.rows), e.episode.complete) for e in ended] == [(4, False), (3, False)]
    assert ended[0].order < ended[1].order
    assert all(values_are_of(e.episode.rows) for e in ended)
