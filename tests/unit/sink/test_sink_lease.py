"""One ownership of one partition: its fence, and commits that outlive the flow that asked for them."""

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import Fenced, TopicIdPartition
from runbus.sink.lease import MemberLease


class Member:
    """A member whose commits wait until they are answered, with a refusal."""

    def __init__(self) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def commit(self, *_: object) -> None:
        """Refuse, later."""
        self.asked.set()
        await self.answer.wait()
        raise Fenced("unknown member")


def _lease(member: Member) -> MemberLease:
    return MemberLease(member, TopicIdPartition("steps", "id", 0), None)  # type: ignore[arg-type]  # what a commit needs


def test_a_lease_that_was_closed_refuses_commits() -> None:
    """Whatever the broker would say."""

    async def scene() -> None:
        lease = _lease(Member())
        await lease.close(60.0)
        with pytest.raises(Fenced):
            await lease.commit(1, Intent("id"))

    asyncio.run(scene())


def test_a_commit_that_nobody_waits_for_any_more_is_answered_in_silence() -> None:
    """The flow is cancelled, the lease waits for its commit, and a refusal is no error of the process."""
    complaints: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        member = Member()
        lease = _lease(member)
        flow = asyncio.create_task(lease.commit(1, Intent("id")))
        await member.asked.wait()
        flow.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flow
        closing = asyncio.create_task(lease.close(60.0))
        await asyncio.sleep(0)
        assert not closing.done()
        member.answer.set()
        await closing
        del flow, closing
        gc.collect()

    asyncio.run(scene())
    gc.collect()
    assert not complaints
