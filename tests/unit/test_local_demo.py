"""When a demo may say that all is well."""

from __future__ import annotations

import pytest

from runbus.audit.reconciliation import Audit, Logged, Stored, StreamSums, reconcile
from runbus.kafka.model import StreamId
from runbus.local.demo import DemoResult, Episodes

STREAM = StreamId("demo-1-cartpole", "agent-0", 1)


def test_a_sound_end_has_no_problem() -> None:
    """Everything stored and every end said: the verdict, and nothing else."""
    result = DemoResult(reconcile({STREAM: Logged(9, 0, 0, finished=True)}, {STREAM: Stored(9, 9, 9)}))
    assert result.problems == []
    assert result.verdict == "every step is stored exactly once"


def test_drops_are_told_beside_the_success() -> None:
    """Dropped and counted steps are no loss, but the last line names them."""
    result = DemoResult(reconcile({STREAM: Logged(9, 2, 0, finished=True)}, {STREAM: Stored(7, 7, 9)}))
    assert result.problems == []
    assert "2 that were dropped" in result.verdict


def test_dead_letters_are_told_beside_the_success() -> None:
    """Steps whose record could not be stored are kept and no loss, but the last line does not call them stored."""
    logged = Logged(9, 0, 0, finished=True, dead_letters=2)
    result = DemoResult(reconcile({STREAM: logged}, {STREAM: Stored(7, 7, 9)}))
    assert result.problems == []
    assert "2 that could not be stored and are dead letters" in result.verdict


def test_finalised_episodes_are_told_beside_the_success() -> None:
    """The last line says how many episodes there were."""
    audit = reconcile({STREAM: Logged(9, 0, 0, finished=True)}, {STREAM: Stored(9, 9, 9)})
    result = DemoResult(audit, episodes=Episodes(3, 3, 0))
    assert result.problems == []
    assert result.verdict.endswith("; all 3 episodes are finalised")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (DemoResult(Audit({STREAM: StreamSums(9, 8, missing=1)})), "1 steps are missing"),
        (DemoResult(Audit({STREAM: StreamSums(9, 10, duplicates=1)})), "1 are stored twice"),
        (DemoResult(Audit({STREAM: StreamSums(9, 8, in_flight=1)})), "1 steps are still in flight"),
        (DemoResult(Audit({}), ("agent-0 failed",)), "agent-0 failed"),
        (DemoResult(reconcile({STREAM: Logged(9)}, {STREAM: Stored(9, 9, 9)})), "never said its end"),
        (DemoResult(Audit({}), episodes=Episodes(3, 2, 0)), "3 have ended, 2 are finalised"),
        (DemoResult(Audit({}), episodes=Episodes(3, 3, 1)), "1 of those do not agree"),
    ],
)
def test_whatever_is_wrong_is_a_problem(result: DemoResult, text: str) -> None:
    """Each way to lose a step, an end or an agent is named."""
    assert len(result.problems) == 1
    assert text in result.problems[0]
