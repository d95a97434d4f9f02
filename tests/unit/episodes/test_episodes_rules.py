"""What ends an episode, what is late, what is refused and what is forgotten: one rule a test."""

from __future__ import annotations

from hashlib import sha256

from runbus.episodes.policy import MAX_ENVS, FinaliserPolicy
from runbus.kafka.model import StreamId
from runbus.kafka.topics import EPISODES
from tests.unit.episodes.history import STREAM, EpisodesSetup, Row, batch, episode

NEWER = StreamId("run", "agent", 2)


def test_the_last_row_of_an_episode_finalises_it() -> None:
    """Return, length, ends, bounds and the id, under the key of the stream."""
    bench = EpisodesSetup()
    rows = episode(0, 3)
    rows[2] = rows[2]._replace(reward=-2.0, extra=1.5)
    rows[3] = rows[3]._replace(reward=4.0, extra=2.0)
    effects = bench.core.apply(batch(rows, 0), bench.at)
    (emission,) = effects.emissions
    (event,) = bench._note(effects)
    assert (emission.topic, emission.key) == (EPISODES, b"run/agent")
    assert event.id == sha256(b"run/agent/1/0/0").hexdigest()[:32]
    assert (event.revision, event.reason, event.complete) == (1, "terminated", True)
    assert (event.return_, event.length, event.min_reward, event.max_reward) == (2.5, 3, -2.0, 4.0)
    assert (event.first_seq, event.last_seq, event.first_ts, event.last_ts) == (0, 3, 0, 3000)
    assert event.extras_sum == {"loss": 3.5}


def test_terminated_wins_over_truncated() -> None:
    """Gymnasium may say both; the environment's own end counts."""
    bench = EpisodesSetup()
    both = Row(0, 0, 1, 0.5, terminated=True, truncated=True)
    assert [event.reason for event in bench.send([Row(0, 0, 0), both])] == ["terminated"]
    assert [event.reason for event in bench.send(episode(1, 2, over="truncated"), 2)] == ["truncated"]


def test_an_episode_may_span_batches_and_a_batch_episodes() -> None:
    """Where a batch is cut changes nothing."""
    rows = [*episode(0, 5), *episode(1, 1), *episode(2, 4, over="truncated")]
    whole, single = EpisodesSetup(), EpisodesSetup()
    whole.send(rows)
    for seq, row in enumerate(rows):
        single.send([row], seq)
    assert single.emitted == whole.emitted
    assert [event.length for event in whole.emitted] == [5, 1, 4]


def test_a_row_of_a_higher_episode_abandons_the_open_one() -> None:
    """A reset before the end: what was begun is emitted, an episode of only a reset with length 0."""
    bench = EpisodesSetup()
    bench.send(episode(0, 3, over=""))
    assert [(e.reason, e.length, e.complete) for e in bench.send([Row(0, 1, 0)], 4)] == [("abandoned", 3, True)]
    (event,) = bench.send([Row(0, 2, 0)], 5)
    assert (event.reason, event.length, event.return_) == ("abandoned", 0, 0.0)
    assert (event.min_reward, event.max_reward) == (0.0, 0.0)


def test_an_episode_without_a_reset_row_is_complete() -> None:
    """An agent may step without a reset: nothing was lost before step 1."""
    bench = EpisodesSetup()
    assert [event.complete for event in bench.send(episode(0, 3)[1:])] == [True]


def test_the_envs_of_a_vector_do_not_touch_each_other() -> None:
    """Each env has its own episodes, whatever the order of the rows."""
    bench = EpisodesSetup()
    columns = [episode(0, 3, env=env, over="terminated" if env == 5 else "") for env in range(20)]
    events = bench.send([row for rows in zip(*columns, strict=True) for row in rows])
    assert [(event.env, event.length, event.complete) for event in events] == [(5, 3, True)]
    assert bench.core.size()["open_episodes"] == 19
    assert [event.env for event in bench.send([Row(5, 1, 0), Row(7, 0, 4, 0.5, True)], 80)] == [7]


def test_silence_abandons_an_episode() -> None:
    """Idle is stream time since the last row of the episode itself, not of its stream."""
    bench = EpisodesSetup()
    bench.send([*episode(0, 2, env=0, over=""), *episode(0, 2, env=1, over="")])
    bench.wait(6000)
    bench.send([Row(1, 0, 3, 0.5)], 6)
    assert bench.wait(3999) == []
    assert [(event.env, event.reason) for event in bench.wait(1)] == [(0, "abandoned")]
    assert [(event.env, event.reason) for event in bench.wait(6000)] == [(1, "abandoned")]


def test_finished_interrupts_at_once_if_every_step_arrived() -> None:
    """FINISHED may come after the last step or before it."""
    after, before = EpisodesSetup(), EpisodesSetup()
    after.send(episode(0, 3, over=""))
    assert [event.reason for event in after.finish(4)] == ["interrupted"]
    assert before.finish(4) == []
    assert before.send(episode(0, 3, over="")[:2]) == []
    assert before.send(episode(0, 3, over="")[2:], 2) == []  # another record may be of the same millisecond
    assert [event.reason for event in before.wait(1)] == ["interrupted"]
    assert after.emitted == before.emitted


def test_finished_interrupts_a_second_later_if_steps_are_missing() -> None:
    """What the stream lost at its end is named by the episode that can have had it."""
    bench = EpisodesSetup()
    bench.send(episode(0, 3, over=""))
    assert bench.finish(9) == []
    assert bench.wait(1000) == []
    (event,) = bench.wait(1)
    assert (event.reason, event.complete, event.missing_from, event.missing_to) == ("interrupted", False, [4], [8])


def test_finished_again_changes_nothing() -> None:
    """After a restart every FINISHED event comes again."""
    bench = EpisodesSetup()
    bench.send(episode(0, 3, over=""))
    assert len(bench.finish(4)) == 1
    assert bench.finish(4) == []
    bench.restart()
    assert len(bench.emitted) == 1
    assert bench.core.size()["finished_known"] == 1


def test_the_reset_after_the_last_episode_is_dropped_at_finished() -> None:
    """Loops and vector environments reset once more: nothing happened in that episode."""
    bench = EpisodesSetup()
    bench.send([*episode(0, 2), Row(0, 1, 0)])
    assert bench.finish(4) == []
    assert bench.core.size()["open_episodes"] == 0


def test_a_reset_with_steps_missing_after_it_is_not_dropped() -> None:
    """Something happened in it that was lost."""
    bench = EpisodesSetup()
    bench.send([Row(0, 0, 0)])
    bench.finish(5)
    assert [(event.length, event.complete) for event in bench.wait(1001)] == [(0, False)]


def test_a_newer_attempt_interrupts_the_silent_older_one() -> None:
    """A retried worker: the grace is counted from the older attempt's last record."""
    bench = EpisodesSetup()
    bench.send(episode(0, 3, over=""))
    bench.wait(900)
    bench.send([Row(0, 0, 0)], 0, NEWER)
    assert bench.wait(99) == []
    (event,) = bench.wait(1)
    assert (event.attempt, event.reason) == (1, "interrupted")
    assert bench.core.size()["open_episodes"] == 1


def test_attempts_may_come_out_of_order() -> None:
    """An older attempt that is seen after the newer one is superseded from the start."""
    bench = EpisodesSetup()
    bench.send([Row(0, 0, 0)], 0, NEWER)
    bench.send(episode(0, 3, over=""))
    assert [(event.attempt, event.reason) for event in bench.wait(1000)] == [(1, "interrupted")]


def test_an_older_attempt_that_still_sends_is_left_alone() -> None:
    """Two workers of one name may overlap."""
    bench = EpisodesSetup()
    bench.send(episode(0, 1, over=""))
    bench.send([Row(0, 0, 0)], 0, NEWER)
    for step in range(2, 8):
        assert bench.wait(700) == []
        assert bench.send([Row(0, 0, step, 0.5)], step) == []


def test_a_re_send_changes_nothing() -> None:
    """Duplicates are dropped by seq and counted, after the end of the episode as well."""
    bench = EpisodesSetup()
    rows = [*episode(0, 3), *episode(1, 3, over="")]
    bench.send(rows)
    bench.send(rows)
    bench.send(rows[2:6], 2)
    assert len(bench.emitted) == 1
    assert bench.core.size()["duplicates"] == 12
    assert [event.return_ for event in bench.finish(8)] == [1.5]


def test_a_gap_is_named_by_the_episodes_that_can_have_been_in_it() -> None:
    """Before, inside and after: a gap is missing from both episodes around it, and from no other."""
    bench = EpisodesSetup()
    bench.send([*episode(0, 2), *episode(1, 5)[:3]])
    second, third = bench.send(episode(2, 5)[2:], 8)
    assert (second.episode, second.reason, third.episode, third.reason) == (1, "abandoned", 2, "terminated")
    assert bench.emitted[0].complete
    assert [(e.missing_from, e.missing_to, e.complete) for e in (second, third)] == [([6], [7], False)] * 2
    assert [event.complete for event in bench.send(episode(3, 2), 12)] == [True]


def test_a_gap_inside_an_episode_makes_it_incomplete() -> None:
    """The return is of what was received."""
    bench = EpisodesSetup()
    rows = episode(0, 9)
    bench.send(rows[:3])
    (event,) = bench.send(rows[6:], 6)
    assert (event.complete, event.missing_from, event.missing_to) == (False, [3], [5])
    assert (event.length, event.return_) == (6, 3.0)


def test_a_gap_of_other_envs_does_not_make_an_episode_incomplete() -> None:
    """The steps of env 0 go on without a hole, so the gap held none of them."""
    bench = EpisodesSetup()
    bench.send([Row(0, 0, 0), Row(1, 0, 0), Row(0, 0, 1, 0.5)])
    (event,) = bench.send([Row(0, 0, 2, 0.5, terminated=True)], 4)
    assert (event.complete, event.missing_from) == (True, [])


def test_late_rows_bring_a_revision() -> None:
    """Within the grace they are merged: one revision a record, complete once nothing is missing."""
    bench = EpisodesSetup()
    rows = episode(0, 9)
    bench.send(rows[:3])
    bench.send(rows[7:], 7)
    bench.wait(1000)
    (second,) = bench.send(rows[3:5], 3)
    assert (second.revision, second.length, second.complete, second.missing_from) == (2, 7, False, [5])
    (third,) = bench.send(rows[4:8], 4)
    assert (third.revision, third.length, third.return_, third.complete) == (3, 9, 4.5, True)
    assert len({event.id for event in bench.emitted}) == 1
    assert bench.core.size() | {"late_steps": 4, "revisions": 2, "duplicates": 2, "late_aggregates": 0} == (
        bench.core.size()
    )


def test_rows_after_the_grace_are_refused() -> None:
    """They are counted and the text says how late they were."""
    bench = EpisodesSetup()
    rows = episode(0, 9)
    bench.send(rows[:3])
    bench.send(rows[5:], 5)
    bench.wait(1001)
    assert bench.send(rows[3:5], 3) == []
    assert bench.refused == ["2 steps of env 0 episode 0 came 1001 ms after it was finalised"]
    assert bench.refused_steps == 2


def test_late_rows_of_an_episode_that_was_never_seen_are_its_first_revision() -> None:
    """A whole batch was late: the episodes in it are finalised when it comes, those around it revised."""
    bench = EpisodesSetup()
    rows = [*episode(0, 3), *episode(1, 3), *episode(2, 3, over=""), *episode(3, 3)]
    bench.send(rows[:2])
    bench.send(rows[13:], 13)
    bench.wait(500)
    events = {(e.episode, e.revision): e for e in bench.send(rows[2:13], 2)}
    assert {key: (e.reason, e.complete, e.length) for key, e in events.items()} == {
        (0, 2): ("terminated", True, 3),
        (1, 1): ("terminated", True, 3),
        (2, 1): ("abandoned", True, 3),
        (3, 2): ("terminated", True, 3),
    }
    assert [(e.episode, e.reason, e.complete) for e in bench.emitted[:2]] == [
        (0, "abandoned", False),
        (3, "terminated", False),
    ]


def test_other_episodes_can_show_that_nothing_is_missing() -> None:
    """The gap after an abandoned episode held only rows of others: a revision says that it is complete."""
    bench = EpisodesSetup()
    bench.send(episode(0, 3, over=""))
    bench.send([Row(0, 2, 0)], 8)
    assert [event.complete for event in bench.emitted] == [False]
    events = bench.send(episode(1, 3), 4)
    assert [(e.episode, e.revision, e.complete) for e in events] == [(1, 1, True), (0, 2, True)]


def test_an_episode_that_was_closed_by_silence_can_go_on_within_the_grace() -> None:
    """Its next row was only slow; after the grace it is refused."""
    bench = EpisodesSetup()
    bench.send(episode(0, 2, over=""))
    assert [event.revision for event in bench.wait(10_900)] == [1]
    (event,) = bench.send([Row(0, 0, 3, 0.5, terminated=True)], 3)
    assert (event.revision, event.reason, event.length, event.complete) == (2, "terminated", 3, True)
    bench.send(episode(1, 2, over=""), 4)
    bench.wait(11_001)
    assert bench.send([Row(0, 1, 3, 0.5)], 7) == []
    assert bench.refused_steps == 1


def test_what_was_due_is_closed_as_of_when_it_was_due() -> None:
    """The grace of late rows does not depend on how late the call came: a backlog leads to the same."""
    bench = EpisodesSetup()
    bench.send([Row(0, 0, 0), Row(0, 0, 1, 0.5)])
    bench.send([Row(0, 0, 3, 0.5)], 3)
    bench.wait(11_001)  # it was due after 10 s, and the grace is one second
    assert bench.send([Row(0, 0, 2, 0.5)], 2) == []
    assert bench.refused_steps == 1


def test_an_episode_that_was_forgotten_is_not_taken_for_a_new_one() -> None:
    """Rows from the gap after an episode that silence closed long ago: refused, never its first revision again."""
    bench = EpisodesSetup()
    bench.send(episode(0, 2, over=""))
    bench.wait(12_000)
    bench.send([Row(1, 0, 0)], 3)
    bench.restart()
    assert bench.core.size()["late_aggregates"] == 0
    bench.send([Row(0, 1, 0)], 6)
    bench.send([Row(0, 0, 3, 0.5), Row(0, 0, 4, 0.5, terminated=True)], 4)
    assert [event.revision for event in bench.emitted if event.env == 0] == [1]
    assert bench.refused_steps == 2


def test_rows_after_the_end_of_their_episode_are_refused() -> None:
    """A loop that steps on without a reset: in the same batch or later."""
    bench = EpisodesSetup()
    rows = [*episode(0, 2), Row(0, 0, 3, 0.5), Row(0, 0, 4, 0.5, terminated=True)]
    (event,) = bench.send(rows)
    assert (event.length, event.last_seq, event.complete) == (2, 2, True)
    bench.send([Row(0, 0, 5, 0.5), *episode(1, 1)], 5)
    assert bench.refused == [
        "2 steps of env 0 episode 0 came after the step that ended it",
        "1 steps of env 0 episode 0 came after it was over",
    ]
    assert bench.emitted[-1].length == 1


def test_rows_of_an_env_that_cannot_be_are_refused() -> None:
    """An index costs memory; the other rows of the batch are used."""
    bench = EpisodesSetup()
    rows = [Row(MAX_ENVS, 0, 0), Row(-1, 0, 0), Row(0, -1, 0), *episode(0, 1)]
    assert [event.length for event in bench.send(rows)] == [1]
    assert bench.refused_steps == 3


def test_step_numbers_that_repeat_are_not_complete() -> None:
    """A producer that is wrong is told apart from one that lost rows: nothing is missing."""
    bench = EpisodesSetup()
    rows = [Row(0, 0, 0), Row(0, 0, 1, 0.5), Row(0, 0, 1, 0.5), Row(0, 0, 3, 0.5, terminated=True)]
    assert [(event.complete, event.missing_from) for event in bench.send(rows)] == [(False, [])]


def test_a_silent_stream_is_forgotten() -> None:
    """Until then a late duplicate opens nothing, whether the stream finished or not."""
    bench = EpisodesSetup()
    rows = episode(0, 3)
    bench.send(rows)
    bench.finish(4)
    bench.commit()
    assert len(bench.state) == 1
    bench.wait(49_000)
    assert bench.send(rows) == []
    bench.wait(50_000)
    bench.commit()
    assert bench.state == {}
    assert bench.core.size()["streams"] == 0


def test_finished_events_are_remembered_up_to_a_bound() -> None:
    """The oldest is forgotten first."""
    bench = EpisodesSetup(FinaliserPolicy(max_finished=2))
    for attempt in range(3):
        bench.finish(4, STREAM._replace(attempt=attempt))
    assert bench.core.size()["finished_known"] == 2
    bench.wait(1)
    assert bench.send(episode(0, 3, over=""), 0, STREAM._replace(attempt=0)) == []
    assert len(bench.send(episode(0, 3, over=""), 0, STREAM._replace(attempt=2))) == 1


def test_episodes_that_can_gain_rows_are_bounded_by_giving_up_the_oldest_gaps() -> None:
    """What is given up is counted, and rows of it are duplicates from then on."""
    bench = EpisodesSetup(FinaliserPolicy(max_late=4))
    for index in range(20):
        bench.send(episode(index, 4)[2:], 5 * index + 2)
    assert bench.core.size()["late_aggregates"] <= 4
    assert bench.core.size()["given_up"] == 2 * 16
    assert bench.send(episode(0, 4)[:2]) == []
    assert bench.core.size()["duplicates"] == 2
